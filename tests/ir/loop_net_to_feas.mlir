// RUN: pjc opt %s -p net-to-feas | filecheck %s

// A loop: families of constraints with a leading axis, carried values through a shift.

net.network @rnn dims {batch = 8 : i64} {
  %x = op.input "x" ["batch", "2", "3"] : tensor<8x2x3xf32>
  %h0 = op.constant 0.0 : tensor<8x3xf32>
  %h, %hs = net.for "t" 2 carries (%h0) : (tensor<8x3xf32>) -> (tensor<8x3xf32>) collects (tensor<2x8x3xf32>) {
  ^body(%before : tensor<8x3xf32>):
    %at = net.at %x axis 1 first 0 step 1 : tensor<8x2x3xf32> -> tensor<8x3xf32>
    %w = op.parameter "w" <1.0 * he_normal> : tensor<3x3xf32>
    %z = op.dot %before, %w : tensor<8x3xf32>, tensor<3x3xf32> -> tensor<8x3xf32>
    %next = op.sum_relu %at, %z axes [] : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
    net.yield (%next) collect (%next) : (tensor<8x3xf32>) collect (tensor<8x3xf32>)
  }
  op.output "h" %h : tensor<8x3xf32>
  op.output "hs" %hs : tensor<2x8x3xf32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   feas.problem @rnn dims {batch = 8 : i64} {
// CHECK-NEXT:     %x = op.input "x" ["batch", "2", "3"] : tensor<8x2x3xf32>
// CHECK-NEXT:     %h0 = op.constant 0.000000e+00 called "constant" : tensor<8x3xf32>
// CHECK-NEXT:     %0 = view.reshape %h0 : tensor<8x3xf32> -> tensor<1x8x3xf32>
// CHECK-NEXT:     %1 = view.shift %0, %next {loop = #feas.loop<"t" 2>} : tensor<1x8x3xf32>, tensor<2x8x3xf32> -> tensor<2x8x3xf32>
// CHECK-NEXT:     %at = view.transpose %x [1, 0, 2] : tensor<8x2x3xf32> -> tensor<2x8x3xf32>
// CHECK-NEXT:     %w = op.parameter "w" <1.0 * he_normal> family 2 : tensor<2x3x3xf32>
// CHECK-NEXT:     %z = op.dot "dot" %1, %w {loop = #feas.loop<"t" 2>} : tensor<2x8x3xf32>, tensor<2x3x3xf32> -> tensor<2x8x3xf32>
// CHECK-NEXT:     %next = op.sum_relu "sum_relu" %at, %z axes [] {loop = #feas.loop<"t" 2>} : tensor<2x8x3xf32>, tensor<2x8x3xf32> -> tensor<2x8x3xf32>
// CHECK-NEXT:     %2 = view.slice %next [1, 0, 0] [2, 8, 3] [1, 1, 1] : tensor<2x8x3xf32> -> tensor<1x8x3xf32>
// CHECK-NEXT:     %3 = view.reshape %2 : tensor<1x8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     op.output "h" %3 : tensor<8x3xf32>
// CHECK-NEXT:     op.output "hs" %next : tensor<2x8x3xf32>
// CHECK-NEXT:   }
// CHECK-NEXT: }

// RUN: pjc opt %s -p net-unroll | filecheck %s

// Each iteration reads its own slice of x and its own parameters; what is collected is stacked.

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
// CHECK-NEXT:   net.network @rnn dims {batch = 8 : i64} attributes {unrolled} {
// CHECK-NEXT:     %x = op.input "x" ["batch", "2", "3"] : tensor<8x2x3xf32>
// CHECK-NEXT:     %h0 = op.constant 0.000000e+00 : tensor<8x3xf32>
// CHECK-NEXT:     %w = op.parameter "w" <1.0 * he_normal> family 2 : tensor<2x3x3xf32>
// CHECK-NEXT:     %0 = view.slice %x [0, 0, 0] [8, 1, 3] [1, 1, 1] : tensor<8x2x3xf32> -> tensor<8x1x3xf32>
// CHECK-NEXT:     %1 = view.reshape %0 : tensor<8x1x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %2 = view.slice %w [0, 0, 0] [1, 3, 3] [1, 1, 1] : tensor<2x3x3xf32> -> tensor<1x3x3xf32>
// CHECK-NEXT:     %3 = view.reshape %2 : tensor<1x3x3xf32> -> tensor<3x3xf32>
// CHECK-NEXT:     %z = op.dot %h0, %3 : tensor<8x3xf32>, tensor<3x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %next = op.sum_relu %1, %z axes [] : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %4 = view.reshape %next : tensor<8x3xf32> -> tensor<1x8x3xf32>
// CHECK-NEXT:     %5 = view.slice %x [0, 1, 0] [8, 2, 3] [1, 1, 1] : tensor<8x2x3xf32> -> tensor<8x1x3xf32>
// CHECK-NEXT:     %6 = view.reshape %5 : tensor<8x1x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %7 = view.slice %w [1, 0, 0] [2, 3, 3] [1, 1, 1] : tensor<2x3x3xf32> -> tensor<1x3x3xf32>
// CHECK-NEXT:     %8 = view.reshape %7 : tensor<1x3x3xf32> -> tensor<3x3xf32>
// CHECK-NEXT:     %z_1 = op.dot %next, %8 : tensor<8x3xf32>, tensor<3x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %next_1 = op.sum_relu %6, %z_1 axes [] : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %9 = view.reshape %next_1 : tensor<8x3xf32> -> tensor<1x8x3xf32>
// CHECK-NEXT:     %hs = view.concat %4, %9 along 0 : tensor<1x8x3xf32>, tensor<1x8x3xf32> -> tensor<2x8x3xf32>
// CHECK-NEXT:     op.output "h" %next_1 : tensor<8x3xf32>
// CHECK-NEXT:     op.output "hs" %hs : tensor<2x8x3xf32>
// CHECK-NEXT:   }
// CHECK-NEXT: }

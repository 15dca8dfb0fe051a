// RUN: pjc opt %s -p net-unroll-irregular | filecheck %s

// Every iteration reads its own column of x: a family of constraints, which stays a loop.

net.network @regular dims {batch = 4 : i64} {
  %x = op.input "x" ["batch", "3", "2"] : tensor<4x3x2xf32>
  %y = op.target "y" ["batch"] classes 2 : tensor<4xi32>
  %e = op.identity %x : tensor<4x3x2xf32> -> tensor<4x3x2xf32>
  %h0 = op.constant 0.0 : tensor<4x2xf32>
  %h = net.for "t" 3 carries (%h0) : (tensor<4x2xf32>) -> (tensor<4x2xf32>) collects () {
  ^body(%before : tensor<4x2xf32>):
    %now = net.at %e axis 1 first 0 step 1 : tensor<4x3x2xf32> -> tensor<4x2xf32>
    %next = op.sum_relu %before, %now axes [] : tensor<4x2xf32>, tensor<4x2xf32> -> tensor<4x2xf32>
    net.yield (%next) collect () : (tensor<4x2xf32>) collect ()
  }
  op.output "h" %h : tensor<4x2xf32>
  op.margin %h, %y in [0.0, 1.0] : tensor<4x2xf32>, tensor<4xi32>
}

// CHECK: net.network @regular dims {batch = 4 : i64} {
// CHECK: net.for "t" 3

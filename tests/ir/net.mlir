// RUN: pjc opt %s | filecheck %s

// Every op of net, printed and parsed back.

net.network @everything dims {batch = 8 : i64} {
  %x = op.input "x" ["batch", "4"] : tensor<8x4xf32>
  %y = op.target "y" ["batch"] classes 3 : tensor<8xi32>
  %r = op.target "r" ["batch", "3"] : tensor<8x3xf32>
  %w = op.parameter "w" <0.1 * he_normal> : tensor<4x3xf32>
  %u = op.parameter "u" <1.0 * uniform(-1.0, 1.0)> : tensor<8x3xf32>
  %f = op.parameter "f" <1.0 * he_normal> family 5 : tensor<5x3xf32>
  %c = op.constant 0.5 : tensor<8xf32>
  %last, %all = net.for "n" 3 carries (%c) : (tensor<8xf32>) -> (tensor<8xf32>) collects (tensor<3x8xf32>) {
  ^body(%before : tensor<8xf32>):
    %at = net.at %x axis 1 first 1 step 1 : tensor<8x4xf32> -> tensor<8xf32>
    %next = op.sum %at, %before axes [] : tensor<8xf32>, tensor<8xf32> -> tensor<8xf32>
    net.yield (%next) collect (%at) : (tensor<8xf32>) collect (tensor<8xf32>)
  }
  %z = op.dot %x, %w : tensor<8x4xf32>, tensor<4x3xf32> -> tensor<8x3xf32>
  %s = op.sum %z, %u axes [] : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
  %h = op.sum_relu %s axes [] : tensor<8x3xf32> -> tensor<8x3xf32>
  %m = op.max %h axes [1] : tensor<8x3xf32> -> tensor<8xf32>
  %i = op.identity %h : tensor<8x3xf32> -> tensor<8x3xf32>
  %q = op.quantize %i to [-1.0, 1.0] : tensor<8x3xf32> -> tensor<8x3xf32>
  %d = op.sum %q, %u axes [] weights [1.0, -1.0] offset 0.5 : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
  %g = op.sum_relu %d axes [1] weights [0.5] : tensor<8x3xf32> -> tensor<8xf32>
  %l = op.min %d axes [] : tensor<8x3xf32> -> tensor<8x3xf32>
  %p = op.product %l, %d : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
  %a = op.piecewise %p edges [0.0] slopes [-1.0, 1.0] offsets [0.0, 0.0] : tensor<8x3xf32> -> tensor<8x3xf32>
  %e = op.round %a : tensor<8x3xf32> -> tensor<8x3xf32>
  %own = op.apply by "winner" "[n] -> [n]" %a : tensor<8x3xf32> -> tensor<8x3xf32>
  op.cross_entropy %q, %y strength 2.0 : tensor<8x3xf32>, tensor<8xi32>
  op.margin %q, %y in [0.0, 1.0] : tensor<8x3xf32>, tensor<8xi32>
  op.hinge %q, %y strength 2.0 : tensor<8x3xf32>, tensor<8xi32>
  op.class_margin %q, %y by 0.5 : tensor<8x3xf32>, tensor<8xi32>
  op.squared_error %e, %r strength 2.0 : tensor<8x3xf32>, tensor<8x3xf32>
  op.multi_label %e, %r in [0.0, 1.0] : tensor<8x3xf32>, tensor<8x3xf32>
  op.equal %e, %r : tensor<8x3xf32>, tensor<8x3xf32>
  op.set %w in "box" {low = -1.0 : f64, high = 1.0 : f64} : tensor<4x3xf32>
  op.set %g in "sparse" {k = 3 : i64, axes = array<i64: 0>} : tensor<8xf32>
  op.output "top" %m : tensor<8xf32>
  op.output "last" %last : tensor<8xf32>
  op.output "all" %all : tensor<3x8xf32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   net.network @everything dims {batch = 8 : i64} {
// CHECK-NEXT:     %x = op.input "x" ["batch", "4"] : tensor<8x4xf32>
// CHECK-NEXT:     %y = op.target "y" ["batch"] classes 3 : tensor<8xi32>
// CHECK-NEXT:     %r = op.target "r" ["batch", "3"] : tensor<8x3xf32>
// CHECK-NEXT:     %w = op.parameter "w" <0.1 * he_normal> : tensor<4x3xf32>
// CHECK-NEXT:     %u = op.parameter "u" <1.0 * uniform(-1.0, 1.0)> : tensor<8x3xf32>
// CHECK-NEXT:     %f = op.parameter "f" <1.0 * he_normal> family 5 : tensor<5x3xf32>
// CHECK-NEXT:     %c = op.constant 5.000000e-01 : tensor<8xf32>
// CHECK-NEXT:     %last, %all = net.for "n" 3 carries(%c) : (tensor<8xf32>) -> (tensor<8xf32>) collects(tensor<3x8xf32>) {
// CHECK-NEXT:     ^body(%before: tensor<8xf32>):
// CHECK-NEXT:       %at = net.at %x axis 1 first 1 step 1 : tensor<8x4xf32> -> tensor<8xf32>
// CHECK-NEXT:       %next = op.sum %at, %before axes [] : tensor<8xf32>, tensor<8xf32> -> tensor<8xf32>
// CHECK-NEXT:       net.yield(%next) collect(%at) : (tensor<8xf32>) collect(tensor<8xf32>)
// CHECK-NEXT:     }
// CHECK-NEXT:     %z = op.dot %x, %w : tensor<8x4xf32>, tensor<4x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %s = op.sum %z, %u axes [] : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %h = op.sum_relu %s axes [] : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %m = op.max %h axes [1] : tensor<8x3xf32> -> tensor<8xf32>
// CHECK-NEXT:     %i = op.identity %h : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %q = op.quantize %i to [-1.000000e+00, 1.000000e+00] : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %d = op.sum %q, %u axes [] weights [1.000000e+00, -1.000000e+00] offset 5.000000e-01 : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %g = op.sum_relu %d axes [1] weights [5.000000e-01] : tensor<8x3xf32> -> tensor<8xf32>
// CHECK-NEXT:     %l = op.min %d axes [] : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %p = op.product %l, %d : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %a = op.piecewise %p edges [0.000000e+00] slopes [-1.000000e+00, 1.000000e+00] offsets [0.000000e+00, 0.000000e+00] : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %e = op.round %a : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %own = op.apply by "winner" "[n] -> [n]" %a : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     op.cross_entropy %q, %y strength 2.000000e+00 : tensor<8x3xf32>, tensor<8xi32>
// CHECK-NEXT:     op.margin %q, %y in [0.000000e+00, 1.000000e+00] : tensor<8x3xf32>, tensor<8xi32>
// CHECK-NEXT:     op.hinge %q, %y strength 2.000000e+00 : tensor<8x3xf32>, tensor<8xi32>
// CHECK-NEXT:     op.class_margin %q, %y by 5.000000e-01 : tensor<8x3xf32>, tensor<8xi32>
// CHECK-NEXT:     op.squared_error %e, %r strength 2.000000e+00 : tensor<8x3xf32>, tensor<8x3xf32>
// CHECK-NEXT:     op.multi_label %e, %r in [0.000000e+00, 1.000000e+00] : tensor<8x3xf32>, tensor<8x3xf32>
// CHECK-NEXT:     op.equal %e, %r : tensor<8x3xf32>, tensor<8x3xf32>
// CHECK-NEXT:     op.set %w in "box" {low = -1.000000e+00 : f64, high = 1.000000e+00 : f64} : tensor<4x3xf32>
// CHECK-NEXT:     op.set %g in "sparse" {k = 3 : i64, axes = array<i64: 0>} : tensor<8xf32>
// CHECK-NEXT:     op.output "top" %m : tensor<8xf32>
// CHECK-NEXT:     op.output "last" %last : tensor<8xf32>
// CHECK-NEXT:     op.output "all" %all : tensor<3x8xf32>
// CHECK-NEXT:   }
// CHECK-NEXT: }

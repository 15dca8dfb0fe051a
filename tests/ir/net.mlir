// RUN: pjc opt %s | filecheck %s

// Every op of net, printed and parsed back.

net.network @everything dims {batch = 8 : i64} {
  %x = net.input "x" ["batch", "4"] : tensor<8x4xf32>
  %y = net.target "y" ["batch"] classes 3 : tensor<8xi32>
  %r = net.target "r" ["batch", "3"] : tensor<8x3xf32>
  %w = net.param "w" <0.1 * he_normal> : tensor<4x3xf32>
  %u = net.param "u" <1.0 * uniform(-1.0, 1.0)> : tensor<8x3xf32>
  %f = net.param "f" <1.0 * he_normal> family 5 : tensor<5x3xf32>
  %c = net.constant 0.5 : tensor<8xf32>
  %last, %all = net.for "n" 3 carries (%c) : (tensor<8xf32>) -> (tensor<8xf32>) collects (tensor<3x8xf32>) {
  ^body(%before : tensor<8xf32>):
    %at = net.at %x axis 1 first 1 step 1 : tensor<8x4xf32> -> tensor<8xf32>
    %next = net.sum %at, %before axes [] : tensor<8xf32>, tensor<8xf32> -> tensor<8xf32>
    net.yield (%next) collect (%at) : (tensor<8xf32>) collect (tensor<8xf32>)
  }
  %z = net.matmul %x, %w : tensor<8x4xf32>, tensor<4x3xf32> -> tensor<8x3xf32>
  %s = net.sum %z, %u axes [] : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
  %h = net.sum_relu %s axes [] : tensor<8x3xf32> -> tensor<8x3xf32>
  %m = net.max %h axes [1] : tensor<8x3xf32> -> tensor<8xf32>
  %i = net.identity %h : tensor<8x3xf32> -> tensor<8x3xf32>
  %q = net.quantize %i to [-1.0, 1.0] : tensor<8x3xf32> -> tensor<8x3xf32>
  %d = net.sum %q, %u axes [] weights [1.0, -1.0] offset 0.5 : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
  %g = net.sum_relu %d axes [1] weights [0.5] : tensor<8x3xf32> -> tensor<8xf32>
  %l = net.min %d axes [] : tensor<8x3xf32> -> tensor<8x3xf32>
  %p = net.product %l, %d : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
  %a = net.piecewise %p edges [0.0] slopes [-1.0, 1.0] offsets [0.0, 0.0] : tensor<8x3xf32> -> tensor<8x3xf32>
  %e = net.round %a : tensor<8x3xf32> -> tensor<8x3xf32>
  %own = net.apply "winner" "[n] -> [n]" %a : tensor<8x3xf32> -> tensor<8x3xf32>
  net.cross_entropy %q, %y strength 2.0 : tensor<8x3xf32>, tensor<8xi32>
  net.margin %q, %y in [0.0, 1.0] : tensor<8x3xf32>, tensor<8xi32>
  net.hinge %q, %y strength 2.0 : tensor<8x3xf32>, tensor<8xi32>
  net.class_margin %q, %y by 0.5 : tensor<8x3xf32>, tensor<8xi32>
  net.squared_error %e, %r strength 2.0 : tensor<8x3xf32>, tensor<8x3xf32>
  net.multi_label %e, %r in [0.0, 1.0] : tensor<8x3xf32>, tensor<8x3xf32>
  net.equal %e, %r : tensor<8x3xf32>, tensor<8x3xf32>
  net.set %w in "box" {low = -1.0 : f64, high = 1.0 : f64} : tensor<4x3xf32>
  net.set %g in "sparse" {k = 3 : i64, axes = array<i64: 0>} : tensor<8xf32>
  net.output "top" %m : tensor<8xf32>
  net.output "last" %last : tensor<8xf32>
  net.output "all" %all : tensor<3x8xf32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   net.network @everything dims {batch = 8 : i64} {
// CHECK-NEXT:     %x = net.input "x" ["batch", "4"] : tensor<8x4xf32>
// CHECK-NEXT:     %y = net.target "y" ["batch"] classes 3 : tensor<8xi32>
// CHECK-NEXT:     %r = net.target "r" ["batch", "3"] : tensor<8x3xf32>
// CHECK-NEXT:     %w = net.param "w" <0.1 * he_normal> : tensor<4x3xf32>
// CHECK-NEXT:     %u = net.param "u" <1.0 * uniform(-1.0, 1.0)> : tensor<8x3xf32>
// CHECK-NEXT:     %f = net.param "f" <1.0 * he_normal> family 5 : tensor<5x3xf32>
// CHECK-NEXT:     %c = net.constant 5.000000e-01 : tensor<8xf32>
// CHECK-NEXT:     %last, %all = net.for "n" 3 carries(%c) : (tensor<8xf32>) -> (tensor<8xf32>) collects(tensor<3x8xf32>) {
// CHECK-NEXT:     ^body(%before: tensor<8xf32>):
// CHECK-NEXT:       %at = net.at %x axis 1 first 1 step 1 : tensor<8x4xf32> -> tensor<8xf32>
// CHECK-NEXT:       %next = net.sum %at, %before axes [] : tensor<8xf32>, tensor<8xf32> -> tensor<8xf32>
// CHECK-NEXT:       net.yield(%next) collect(%at) : (tensor<8xf32>) collect(tensor<8xf32>)
// CHECK-NEXT:     }
// CHECK-NEXT:     %z = net.matmul %x, %w : tensor<8x4xf32>, tensor<4x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %s = net.sum %z, %u axes [] : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %h = net.sum_relu %s axes [] : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %m = net.max %h axes [1] : tensor<8x3xf32> -> tensor<8xf32>
// CHECK-NEXT:     %i = net.identity %h : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %q = net.quantize %i to [-1.000000e+00, 1.000000e+00] : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %d = net.sum %q, %u axes [] weights [1.000000e+00, -1.000000e+00] offset 5.000000e-01 : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %g = net.sum_relu %d axes [1] weights [5.000000e-01] : tensor<8x3xf32> -> tensor<8xf32>
// CHECK-NEXT:     %l = net.min %d axes [] : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %p = net.product %l, %d : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %a = net.piecewise %p edges [0.000000e+00] slopes [-1.000000e+00, 1.000000e+00] offsets [0.000000e+00, 0.000000e+00] : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %e = net.round %a : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %own = net.apply "winner" "[n] -> [n]" %a : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     net.cross_entropy %q, %y strength 2.000000e+00 : tensor<8x3xf32>, tensor<8xi32>
// CHECK-NEXT:     net.margin %q, %y in [0.000000e+00, 1.000000e+00] : tensor<8x3xf32>, tensor<8xi32>
// CHECK-NEXT:     net.hinge %q, %y strength 2.000000e+00 : tensor<8x3xf32>, tensor<8xi32>
// CHECK-NEXT:     net.class_margin %q, %y by 5.000000e-01 : tensor<8x3xf32>, tensor<8xi32>
// CHECK-NEXT:     net.squared_error %e, %r strength 2.000000e+00 : tensor<8x3xf32>, tensor<8x3xf32>
// CHECK-NEXT:     net.multi_label %e, %r in [0.000000e+00, 1.000000e+00] : tensor<8x3xf32>, tensor<8x3xf32>
// CHECK-NEXT:     net.equal %e, %r : tensor<8x3xf32>, tensor<8x3xf32>
// CHECK-NEXT:     net.set %w in "box" {low = -1.000000e+00 : f64, high = 1.000000e+00 : f64} : tensor<4x3xf32>
// CHECK-NEXT:     net.set %g in "sparse" {k = 3 : i64, axes = array<i64: 0>} : tensor<8xf32>
// CHECK-NEXT:     net.output "top" %m : tensor<8xf32>
// CHECK-NEXT:     net.output "last" %last : tensor<8xf32>
// CHECK-NEXT:     net.output "all" %all : tensor<3x8xf32>
// CHECK-NEXT:   }
// CHECK-NEXT: }

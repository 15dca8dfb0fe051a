// RUN: pjc opt %s | filecheck %s

// Every op of net, printed and parsed back.

net.network @everything dims {batch = 8 : i64} {
  %x = net.input "x" ["batch", "4"] : tensor<8x4xf32>
  %y = net.target "y" ["batch"] classes 3 : tensor<8xi32>
  %r = net.target "r" ["batch", "3"] : tensor<8x3xf32>
  %w = net.param "w" <0.1 * he_normal> : tensor<4x3xf32>
  %u = net.param "u" <1.0 * uniform(-1.0, 1.0)> : tensor<8x3xf32>
  %z = net.matmul %x, %w : tensor<8x4xf32>, tensor<4x3xf32> -> tensor<8x3xf32>
  %s = net.sum %z, %u axes [] : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
  %h = net.sum_relu %s axes [] : tensor<8x3xf32> -> tensor<8x3xf32>
  %m = net.max %h axes [1] : tensor<8x3xf32> -> tensor<8xf32>
  %i = net.identity %h : tensor<8x3xf32> -> tensor<8x3xf32>
  %q = net.quantize %i to [-1.0, 1.0] : tensor<8x3xf32> -> tensor<8x3xf32>
  net.cross_entropy %q, %y strength 2.0 : tensor<8x3xf32>, tensor<8xi32>
  net.margin %q, %y in [0.0, 1.0] : tensor<8x3xf32>, tensor<8xi32>
  net.output "top" %m : tensor<8xf32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   net.network @everything dims {batch = 8 : i64} {
// CHECK-NEXT:     %x = net.input "x" ["batch", "4"] : tensor<8x4xf32>
// CHECK-NEXT:     %y = net.target "y" ["batch"] classes 3 : tensor<8xi32>
// CHECK-NEXT:     %r = net.target "r" ["batch", "3"] : tensor<8x3xf32>
// CHECK-NEXT:     %w = net.param "w" <0.1 * he_normal> : tensor<4x3xf32>
// CHECK-NEXT:     %u = net.param "u" <1.0 * uniform(-1.0, 1.0)> : tensor<8x3xf32>
// CHECK-NEXT:     %z = net.matmul %x, %w : tensor<8x4xf32>, tensor<4x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %s = net.sum %z, %u axes [] : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %h = net.sum_relu %s axes [] : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %m = net.max %h axes [1] : tensor<8x3xf32> -> tensor<8xf32>
// CHECK-NEXT:     %i = net.identity %h : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %q = net.quantize %i to [-1.000000e+00, 1.000000e+00] : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     net.cross_entropy %q, %y strength 2.000000e+00 : tensor<8x3xf32>, tensor<8xi32>
// CHECK-NEXT:     net.margin %q, %y in [0.000000e+00, 1.000000e+00] : tensor<8x3xf32>, tensor<8xi32>
// CHECK-NEXT:     net.output "top" %m : tensor<8xf32>
// CHECK-NEXT:   }
// CHECK-NEXT: }

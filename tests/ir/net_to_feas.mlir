// RUN: pjc opt %s -p net-to-feas | filecheck %s

// Operations become constraints; those without a label get the name of what they are.

net.network @n dims {batch = 8 : i64} {
  %x = op.input "x" ["batch", "4"] : tensor<8x4xf32>
  %y = op.target "y" ["batch"] classes 3 : tensor<8xi32>
  %w = op.parameter "w" <1.0 * zeros> : tensor<4x3xf32>
  %z = op.dot "dense_0.matmul" %x, %w : tensor<8x4xf32>, tensor<4x3xf32> -> tensor<8x3xf32>
  %t = view.transpose %z [1, 0] : tensor<8x3xf32> -> tensor<3x8xf32>
  %a = op.sum %z, %z axes [] : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
  %b = op.sum %a axes [0] : tensor<8x3xf32> -> tensor<3xf32>
  %h = op.sum_relu %a axes [] : tensor<8x3xf32> -> tensor<8x3xf32>
  %m = op.max %t axes [1] : tensor<3x8xf32> -> tensor<3xf32>
  %i = op.identity %h : tensor<8x3xf32> -> tensor<8x3xf32>
  %q = op.quantize %i to [-1.0, 1.0] : tensor<8x3xf32> -> tensor<8x3xf32>
  op.cross_entropy %q, %y strength 2.0 : tensor<8x3xf32>, tensor<8xi32>
  op.margin %q, %y in [0.0, 1.0] : tensor<8x3xf32>, tensor<8xi32>
  op.output "m" %m : tensor<3xf32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   feas.problem @n dims {batch = 8 : i64} {
// CHECK-NEXT:     %x = op.input "x" ["batch", "4"] : tensor<8x4xf32>
// CHECK-NEXT:     %y = op.target "y" ["batch"] classes 3 : tensor<8xi32>
// CHECK-NEXT:     %w = op.parameter "w" <1.0 * zeros> : tensor<4x3xf32>
// CHECK-NEXT:     %z = op.dot "dense_0.matmul" %x, %w : tensor<8x4xf32>, tensor<4x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %t = view.transpose %z [1, 0] : tensor<8x3xf32> -> tensor<3x8xf32>
// CHECK-NEXT:     %a = op.sum "sum" %z, %z axes [] : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %b = op.sum "sum_1" %a axes [0] : tensor<8x3xf32> -> tensor<3xf32>
// CHECK-NEXT:     %h = op.sum_relu "sum_relu" %a axes [] : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %m = op.max "max" %t axes [1] : tensor<3x8xf32> -> tensor<3xf32>
// CHECK-NEXT:     %i = op.identity "identity" %h : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %q = op.quantize "quantize" %i to [-1.000000e+00, 1.000000e+00] : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     op.cross_entropy "cross_entropy" %q, %y strength 2.000000e+00 : tensor<8x3xf32>, tensor<8xi32>
// CHECK-NEXT:     op.margin "margin" %q, %y in [0.000000e+00, 1.000000e+00] : tensor<8x3xf32>, tensor<8xi32>
// CHECK-NEXT:     op.output "m" %m : tensor<3xf32>
// CHECK-NEXT:   }
// CHECK-NEXT: }

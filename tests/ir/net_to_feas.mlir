// RUN: pjc opt %s -p net-to-feas | filecheck %s

// Operations become constraints, labelled by where they were written, else by what they are.

net.network @n dims {batch = 8 : i64} {
  %x = net.input "x" ["batch", "4"] : tensor<8x4xf32>
  %y = net.target "y" ["batch"] classes 3 : tensor<8xi32>
  %w = net.param "w" <1.0 * zeros> : tensor<4x3xf32>
  %z = net.matmul %x, %w : tensor<8x4xf32>, tensor<4x3xf32> -> tensor<8x3xf32> loc("dense_0.matmul")
  %t = view.transpose %z [1, 0] : tensor<8x3xf32> -> tensor<3x8xf32>
  %a = net.sum %z, %z axes [] : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
  %b = net.sum %a axes [0] : tensor<8x3xf32> -> tensor<3xf32>
  %h = net.sum_relu %a axes [] : tensor<8x3xf32> -> tensor<8x3xf32>
  %m = net.max %t axes [1] : tensor<3x8xf32> -> tensor<3xf32>
  %i = net.identity %h : tensor<8x3xf32> -> tensor<8x3xf32>
  %q = net.quantize %i to [-1.0, 1.0] : tensor<8x3xf32> -> tensor<8x3xf32>
  net.cross_entropy %q, %y strength 2.0 : tensor<8x3xf32>, tensor<8xi32>
  net.margin %q, %y in [0.0, 1.0] : tensor<8x3xf32>, tensor<8xi32>
  net.output "m" %m : tensor<3xf32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   feas.problem @n dims {batch = 8 : i64} {
// CHECK-NEXT:     %x = feas.datum "x" : tensor<8x4xf32>
// CHECK-NEXT:     %y = feas.target "y" classes 3 : tensor<8xi32>
// CHECK-NEXT:     %w = feas.parameter "w" <1.0 * zeros> : tensor<4x3xf32>
// CHECK-NEXT:     %z = feas.dot "dense_0.matmul" %x, %w : tensor<8x4xf32>, tensor<4x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %t = view.transpose %z [1, 0] : tensor<8x3xf32> -> tensor<3x8xf32>
// CHECK-NEXT:     %a = feas.sum "sum" %z, %z axes [] : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %b = feas.sum "sum_1" %a axes [0] : tensor<8x3xf32> -> tensor<3xf32>
// CHECK-NEXT:     %h = feas.sum_relu "sum_relu" %a axes [] : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %m = feas.max "max" %t axes [1] : tensor<3x8xf32> -> tensor<3xf32>
// CHECK-NEXT:     %i = feas.identity "identity" %h : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %q = feas.quantize "quantize" %i to [-1.000000e+00, 1.000000e+00] : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     feas.cross_entropy "cross_entropy" %q, %y strength 2.000000e+00 : tensor<8x3xf32>, tensor<8xi32>
// CHECK-NEXT:     feas.margin "margin" %q, %y in [0.000000e+00, 1.000000e+00] : tensor<8x3xf32>, tensor<8xi32>
// CHECK-NEXT:     feas.output "m" %m : tensor<3xf32>
// CHECK-NEXT:   }
// CHECK-NEXT: }

// RUN: pjc opt %s -p bipartition | filecheck %s

// Losses are in part A, their inputs in B, and so on; what reaches no loss gets no part.

feas.problem @p dims {batch = 4 : i64} {
  %x = op.input "x" : tensor<4x3xf32>
  %y = op.target "y" classes 2 : tensor<4xi32>
  %w = op.parameter "w" <1.0 * he_normal> : tensor<3x2xf32>
  %z = op.dot "z" %x, %w : tensor<4x3xf32>, tensor<3x2xf32> -> tensor<4x2xf32>
  %h = op.sum_relu "h" %z axes [] : tensor<4x2xf32> -> tensor<4x2xf32>
  op.margin "loss" %z, %y in [0.0, 1.0] : tensor<4x2xf32>, tensor<4xi32>
  op.output "h" %h : tensor<4x2xf32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   feas.problem @p dims {batch = 4 : i64} parts ["A", "B"] {
// CHECK-NEXT:     %x = op.input "x" part "A" : tensor<4x3xf32>
// CHECK-NEXT:     %y = op.target "y" classes 2 : tensor<4xi32>
// CHECK-NEXT:     %w = op.parameter "w" <1.0 * he_normal> part "A" : tensor<3x2xf32>
// CHECK-NEXT:     %z = op.dot "z" %x, %w part "B" : tensor<4x3xf32>, tensor<3x2xf32> -> tensor<4x2xf32>
// CHECK-NEXT:     %h = op.sum_relu "h" %z axes [] : tensor<4x2xf32> -> tensor<4x2xf32>
// CHECK-NEXT:     op.margin "loss" %z, %y in [0.000000e+00, 1.000000e+00] part "A" : tensor<4x2xf32>, tensor<4xi32>
// CHECK-NEXT:     op.output "h" %h : tensor<4x2xf32>
// CHECK-NEXT:   }
// CHECK-NEXT: }

// RUN: pjc opt %s -p bipartition | filecheck %s

// Losses are in part A, their inputs in B, and so on; what reaches no loss gets no part.

feas.problem @p dims {batch = 4 : i64} {
  %x = feas.datum "x" : tensor<4x3xf32>
  %y = feas.target "y" classes 2 : tensor<4xi32>
  %w = feas.parameter "w" <1.0 * he_normal> : tensor<3x2xf32>
  %z = feas.dot "z" %x, %w : tensor<4x3xf32>, tensor<3x2xf32> -> tensor<4x2xf32>
  %h = feas.sum_relu "h" %z axes [] : tensor<4x2xf32> -> tensor<4x2xf32>
  feas.margin "loss" %z, %y in [0.0, 1.0] : tensor<4x2xf32>, tensor<4xi32>
  feas.output "h" %h : tensor<4x2xf32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   feas.problem @p dims {batch = 4 : i64} parts ["A", "B"] {
// CHECK-NEXT:     %x = feas.datum "x" part "A" : tensor<4x3xf32>
// CHECK-NEXT:     %y = feas.target "y" classes 2 : tensor<4xi32>
// CHECK-NEXT:     %w = feas.parameter "w" <1.0 * he_normal> part "A" : tensor<3x2xf32>
// CHECK-NEXT:     %z = feas.dot "z" %x, %w part "B" : tensor<4x3xf32>, tensor<3x2xf32> -> tensor<4x2xf32>
// CHECK-NEXT:     %h = feas.sum_relu "h" %z axes [] : tensor<4x2xf32> -> tensor<4x2xf32>
// CHECK-NEXT:     feas.margin "loss" %z, %y in [0.000000e+00, 1.000000e+00] part "A" : tensor<4x2xf32>, tensor<4xi32>
// CHECK-NEXT:     feas.output "h" %h : tensor<4x2xf32>
// CHECK-NEXT:   }
// CHECK-NEXT: }

// RUN: pjc opt %s -p 'choose-representation{held-bytes=0}' | filecheck %s

// In Douglas-Rachford a dot is factored, in either part; a choice that is written stays.

feas.problem @p dims {batch = 4 : i64} parts ["A", "B"] {
  %x = op.input "x" part "A" : tensor<4x3xf32>
  %y = op.target "y" classes 2 : tensor<4xi32>
  %w = op.parameter "w" <1.0 * he_normal> part "A" : tensor<3x2xf32>
  %v = op.parameter "v" <1.0 * he_normal> part "B" : tensor<2x2xf32>
  %u = op.parameter "u" <1.0 * he_normal> part "A" : tensor<2x2xf32>
  %a = op.dot "a" %x, %w part "B" : tensor<4x3xf32>, tensor<3x2xf32> -> tensor<4x2xf32>
  %b = op.dot "b" %a, %v part "A" : tensor<4x2xf32>, tensor<2x2xf32> -> tensor<4x2xf32>
  %c = op.dot "c" %b, %u part "B" copies "exact" : tensor<4x2xf32>, tensor<2x2xf32> -> tensor<4x2xf32>
  op.margin "loss" %c, %y in [0.0, 1.0] part "A" : tensor<4x2xf32>, tensor<4xi32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   feas.problem @p dims {batch = 4 : i64} parts ["A", "B"] {
// CHECK-NEXT:     %x = op.input "x" part "A" : tensor<4x3xf32>
// CHECK-NEXT:     %y = op.target "y" classes 2 : tensor<4xi32>
// CHECK-NEXT:     %w = op.parameter "w" <1.0 * he_normal> part "A" : tensor<3x2xf32>
// CHECK-NEXT:     %v = op.parameter "v" <1.0 * he_normal> part "B" : tensor<2x2xf32>
// CHECK-NEXT:     %u = op.parameter "u" <1.0 * he_normal> part "A" : tensor<2x2xf32>
// CHECK-NEXT:     %a = op.dot "a" %x, %w part "B" copies "factored" : tensor<4x3xf32>, tensor<3x2xf32> -> tensor<4x2xf32>
// CHECK-NEXT:     %b = op.dot "b" %a, %v part "A" copies "factored" : tensor<4x2xf32>, tensor<2x2xf32> -> tensor<4x2xf32>
// CHECK-NEXT:     %c = op.dot "c" %b, %u part "B" copies "exact" : tensor<4x2xf32>, tensor<2x2xf32> -> tensor<4x2xf32>
// CHECK-NEXT:     op.margin "loss" %c, %y in [0.000000e+00, 1.000000e+00] part "A" : tensor<4x2xf32>, tensor<4xi32>
// CHECK-NEXT:   }
// CHECK-NEXT: }

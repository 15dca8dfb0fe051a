// RUN: pjc opt %s -p levels | filecheck %s

// Level L0 holds the loss; h, read in L1 and L3, is above the last of its readers.

feas.problem @p dims {batch = 4 : i64} {
  %x = op.input "x" : tensor<4x3xf32>
  %y = op.target "y" classes 3 : tensor<4xi32>
  %h = op.sum_relu "h" %x axes [] : tensor<4x3xf32> -> tensor<4x3xf32>
  %i = op.identity "i" %h : tensor<4x3xf32> -> tensor<4x3xf32>
  %j = op.identity "j" %i : tensor<4x3xf32> -> tensor<4x3xf32>
  %s = op.sum "s" %h, %j axes [] : tensor<4x3xf32>, tensor<4x3xf32> -> tensor<4x3xf32>
  op.margin "loss" %s, %y in [0.0, 1.0] : tensor<4x3xf32>, tensor<4xi32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   feas.problem @p dims {batch = 4 : i64} parts ["L0", "L1", "L2", "L3", "L4", "L5"] {
// CHECK-NEXT:     %x = op.input "x" part "L5" : tensor<4x3xf32>
// CHECK-NEXT:     %y = op.target "y" classes 3 : tensor<4xi32>
// CHECK-NEXT:     %h = op.sum_relu "h" %x axes [] part "L4" : tensor<4x3xf32> -> tensor<4x3xf32>
// CHECK-NEXT:     %i = op.identity "i" %h part "L3" : tensor<4x3xf32> -> tensor<4x3xf32>
// CHECK-NEXT:     %j = op.identity "j" %i part "L2" : tensor<4x3xf32> -> tensor<4x3xf32>
// CHECK-NEXT:     %s = op.sum "s" %h, %j axes [] part "L1" : tensor<4x3xf32>, tensor<4x3xf32> -> tensor<4x3xf32>
// CHECK-NEXT:     op.margin "loss" %s, %y in [0.000000e+00, 1.000000e+00] part "L0" : tensor<4x3xf32>, tensor<4xi32>
// CHECK-NEXT:   }
// CHECK-NEXT: }

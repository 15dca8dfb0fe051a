// RUN: pjc opt %s -p legalize-bipartite | filecheck %s

// h feeds the sum directly and through one constraint more: an odd cycle. The datum x feeds both parts.

feas.problem @skip dims {batch = 4 : i64} {
  %x = op.input "x" : tensor<4x3xf32>
  %y = op.target "y" classes 3 : tensor<4xi32>
  %h = op.sum_relu "h" %x axes [] : tensor<4x3xf32> -> tensor<4x3xf32>
  %q = op.identity "q" %h : tensor<4x3xf32> -> tensor<4x3xf32>
  %v = view.concat %x, %h along 0 : tensor<4x3xf32>, tensor<4x3xf32> -> tensor<8x3xf32>
  %u = view.slice %v [4, 0] [8, 3] [1, 1] : tensor<8x3xf32> -> tensor<4x3xf32>
  %s = op.sum "s" %q, %u, %x axes [] : tensor<4x3xf32>, tensor<4x3xf32>, tensor<4x3xf32> -> tensor<4x3xf32>
  op.margin "loss" %s, %y in [0.0, 1.0] : tensor<4x3xf32>, tensor<4xi32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   feas.problem @skip dims {batch = 4 : i64} {
// CHECK-NEXT:     %x = op.input "x" : tensor<4x3xf32>
// CHECK-NEXT:     %x_1 = op.input "x" : tensor<4x3xf32>
// CHECK-NEXT:     %y = op.target "y" classes 3 : tensor<4xi32>
// CHECK-NEXT:     %h = op.sum_relu "h" %x axes [] : tensor<4x3xf32> -> tensor<4x3xf32>
// CHECK-NEXT:     %h_1 = op.identity "h.identity" %h : tensor<4x3xf32> -> tensor<4x3xf32>
// CHECK-NEXT:     %q = op.identity "q" %h_1 : tensor<4x3xf32> -> tensor<4x3xf32>
// CHECK-NEXT:     %v = view.concat %x_1, %h along 0 : tensor<4x3xf32>, tensor<4x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %u = view.slice %v [4, 0] [8, 3] [1, 1] : tensor<8x3xf32> -> tensor<4x3xf32>
// CHECK-NEXT:     %s = op.sum "s" %q, %u, %x_1 axes [] : tensor<4x3xf32>, tensor<4x3xf32>, tensor<4x3xf32> -> tensor<4x3xf32>
// CHECK-NEXT:     op.margin "loss" %s, %y in [0.000000e+00, 1.000000e+00] : tensor<4x3xf32>, tensor<4xi32>
// CHECK-NEXT:   }
// CHECK-NEXT: }

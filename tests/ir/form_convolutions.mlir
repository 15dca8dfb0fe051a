// RUN: pjc opt %s -p form-convolutions | filecheck %s

// The windows of a padded image go into the convolution, and what they would not read is cut off. Windows that
// do not overlap stay, and so does a dot whose copies are held.

feas.problem @p dims {batch = 4 : i64} parts ["A", "B"] {
  %x = op.input "x" part "A" : tensor<4x8x8x2xf32>
  %w = op.parameter "w" <1.0 * he_normal> part "A" : tensor<3x3x2x5xf32>
  %o = view.pad %x [0, 1, 0, 0] [0, 1, 0, 0] : tensor<4x8x8x2xf32> -> tensor<4x10x8x2xf32>
  %p = view.patches %o [1, 2] [3, 3] [1, 2] : tensor<4x10x8x2xf32> -> tensor<4x8x3x3x3x2xf32>
  %r = view.reshape %p : tensor<4x8x3x3x3x2xf32> -> tensor<96x18xf32>
  %c = view.reshape %w : tensor<3x3x2x5xf32> -> tensor<18x5xf32>
  %z = op.dot "z" %r, %c part "B" copies "shared" : tensor<96x18xf32>, tensor<18x5xf32> -> tensor<96x5xf32>
  %i = view.reshape %z : tensor<96x5xf32> -> tensor<4x8x3x5xf32>
  %h = op.identity "h" %i part "A" : tensor<4x8x3x5xf32> -> tensor<4x8x3x5xf32>
  %u = op.parameter "u" <1.0 * he_normal> part "A" : tensor<2x2x5x1xf32>
  %q = view.patches %h [1, 2] [2, 2] [2, 2] : tensor<4x8x3x5xf32> -> tensor<4x4x1x2x2x5xf32>
  %s = view.reshape %q : tensor<4x4x1x2x2x5xf32> -> tensor<16x20xf32>
  %d = view.reshape %u : tensor<2x2x5x1xf32> -> tensor<20x1xf32>
  %y = op.dot "y" %s, %d part "B" copies "shared" : tensor<16x20xf32>, tensor<20x1xf32> -> tensor<16x1xf32>
  %v = op.parameter "v" <1.0 * he_normal> part "A" : tensor<2x2x5x1xf32>
  %k = view.patches %h [1, 2] [2, 2] [1, 1] : tensor<4x8x3x5xf32> -> tensor<4x7x2x2x2x5xf32>
  %l = view.reshape %k : tensor<4x7x2x2x2x5xf32> -> tensor<56x20xf32>
  %e = view.reshape %v : tensor<2x2x5x1xf32> -> tensor<20x1xf32>
  %m = op.dot "m" %l, %e part "B" copies "held" : tensor<56x20xf32>, tensor<20x1xf32> -> tensor<56x1xf32>
  op.output "y" %y : tensor<16x1xf32>
  op.output "m" %m : tensor<56x1xf32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   feas.problem @p dims {batch = 4 : i64} parts ["A", "B"] {
// CHECK-NEXT:     %x = op.input "x" part "A" : tensor<4x8x8x2xf32>
// CHECK-NEXT:     %w = op.parameter "w" <1.0 * he_normal> part "A" : tensor<3x3x2x5xf32>
// CHECK-NEXT:     %0 = view.slice %x [0, 0, 0, 0] [4, 8, 7, 2] [1, 1, 1, 1] : tensor<4x8x8x2xf32> -> tensor<4x8x7x2xf32>
// CHECK-NEXT:     %z = op.convolution "z" %0, %w strides [1, 2] dilation [1, 1] low [1, 0] high [1, 0] part "B" copies "shared" : tensor<4x8x7x2xf32>, tensor<3x3x2x5xf32> -> tensor<4x8x3x5xf32>
// CHECK-NEXT:     %h = op.identity "h" %z part "A" : tensor<4x8x3x5xf32> -> tensor<4x8x3x5xf32>
// CHECK-NEXT:     %u = op.parameter "u" <1.0 * he_normal> part "A" : tensor<2x2x5x1xf32>
// CHECK-NEXT:     %q = view.patches %h [1, 2] [2, 2] [2, 2] : tensor<4x8x3x5xf32> -> tensor<4x4x1x2x2x5xf32>
// CHECK-NEXT:     %s = view.reshape %q : tensor<4x4x1x2x2x5xf32> -> tensor<16x20xf32>
// CHECK-NEXT:     %d = view.reshape %u : tensor<2x2x5x1xf32> -> tensor<20x1xf32>
// CHECK-NEXT:     %y = op.dot "y" %s, %d part "B" copies "shared" : tensor<16x20xf32>, tensor<20x1xf32> -> tensor<16x1xf32>
// CHECK-NEXT:     %v = op.parameter "v" <1.0 * he_normal> part "A" : tensor<2x2x5x1xf32>
// CHECK-NEXT:     %k = view.patches %h [1, 2] [2, 2] [1, 1] : tensor<4x8x3x5xf32> -> tensor<4x7x2x2x2x5xf32>
// CHECK-NEXT:     %l = view.reshape %k : tensor<4x7x2x2x2x5xf32> -> tensor<56x20xf32>
// CHECK-NEXT:     %e = view.reshape %v : tensor<2x2x5x1xf32> -> tensor<20x1xf32>
// CHECK-NEXT:     %m = op.dot "m" %l, %e part "B" copies "held" : tensor<56x20xf32>, tensor<20x1xf32> -> tensor<56x1xf32>
// CHECK-NEXT:     op.output "y" %y : tensor<16x1xf32>
// CHECK-NEXT:     op.output "m" %m : tensor<56x1xf32>
// CHECK-NEXT:   }
// CHECK-NEXT: }

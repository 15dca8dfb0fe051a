// RUN: pjc opt %s | filecheck %s

// Every operation, loss and set, printed and parsed back as a problem has them: with labels, and with and without parts. net.mlir has them without.

feas.problem @everything dims {batch = 8 : i64} parts ["A", "B"] {
  %x = op.input "x" ["batch", "4"] part "A" : tensor<8x4xf32>
  %y = op.target "y" classes 3 : tensor<8xi32>
  %r = op.target "r" : tensor<8x3xf32>
  %t = op.index "t" ["2", "5"] : tensor<2x5xi32>
  %w = op.parameter "w" <1.0 * zeros> part "A" : tensor<4x3xf32>
  %z = op.dot "z" %x, %w part "B" : tensor<8x4xf32>, tensor<4x3xf32> -> tensor<8x3xf32>
  %o = op.input "o" part "A" : tensor<8x5x4x2xf32>
  %k = op.parameter "k" <1.0 * zeros> part "A" : tensor<3x2x2x6xf32>
  %j = op.convolution "j" %o, %k strides [2, 1] dilation [1, 1] low [1, 0] high [1, 0] part "B" copies "shared" : tensor<8x5x4x2xf32>, tensor<3x2x2x6xf32> -> tensor<8x3x3x6xf32>
  %s = op.sum "s" %z, %z axes [] part "A" : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
  %h = op.sum_relu "h" %s axes [] part "B" : tensor<8x3xf32> -> tensor<8x3xf32>
  %m = op.max "m" %h axes [1] : tensor<8x3xf32> -> tensor<8xf32>
  %i = op.identity "i" %h part "A" : tensor<8x3xf32> -> tensor<8x3xf32>
  %q = op.quantize "q" %i to [-1.0, 1.0] part "B" : tensor<8x3xf32> -> tensor<8x3xf32>
  %ql = op.quantize_linear "ql" %i by 0.5 from -8.0 to 7.0 part "B" : tensor<8x3xf32> -> tensor<8x3xf32>
  %d = op.sum "d" %q, %q axes [] weights [1.0, -1.0] offset 0.5 part "A" : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
  %g = op.sum_relu "g" %d axes [1] weights [0.5] part "B" : tensor<8x3xf32> -> tensor<8xf32>
  %l = op.min "l" %d axes [] part "B" : tensor<8x3xf32> -> tensor<8x3xf32>
  %p = op.product "p" %l, %q part "A" : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
  %a = op.piecewise "a" %p edges [0.0] slopes [-1.0, 1.0] offsets [0.0, 0.0] part "B" : tensor<8x3xf32> -> tensor<8x3xf32>
  %e = op.round "e" %d part "B" : tensor<8x3xf32> -> tensor<8x3xf32>
  %own = op.apply "own" by "winner" "[n] -> [n]" %d part "B" : tensor<8x3xf32> -> tensor<8x3xf32>
  op.cross_entropy "ce" %q, %y strength 2.0 part "A" : tensor<8x3xf32>, tensor<8xi32>
  op.margin "margin" %q, %y in [0.0, 1.0] part "A" : tensor<8x3xf32>, tensor<8xi32>
  op.hinge "hinge" %q, %y strength 2.0 part "A" : tensor<8x3xf32>, tensor<8xi32>
  op.class_margin "apart" %q, %y by 0.5 part "A" : tensor<8x3xf32>, tensor<8xi32>
  op.squared_error "error" %e, %r strength 2.0 part "A" : tensor<8x3xf32>, tensor<8x3xf32>
  op.multi_label "several" %e, %r in [0.0, 1.0] part "A" : tensor<8x3xf32>, tensor<8x3xf32>
  op.equal "equal" %e, %r part "A" : tensor<8x3xf32>, tensor<8x3xf32>
  op.set "w.box" %w in "box" {low = -1.0 : f64, high = 1.0 : f64} part "B" : tensor<4x3xf32>
  %f = op.parameter "f" <1.0 * zeros> family 2 members ["f0", "f1"] : tensor<2x3xf32>
  %c = op.constant 0.5 called "c" : tensor<1x3xf32>
  %before = view.shift %c, %next {loop = #feas.loop<"t" 2>} : tensor<1x3xf32>, tensor<2x3xf32> -> tensor<2x3xf32>
  %next = op.sum "next" %before, %f axes [] {loop = #feas.loop<"t" 2>} : tensor<2x3xf32>, tensor<2x3xf32> -> tensor<2x3xf32>
  op.output "top" %m : tensor<8xf32>
  op.output "next" %next : tensor<2x3xf32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   feas.problem @everything dims {batch = 8 : i64} parts ["A", "B"] {
// CHECK-NEXT:     %x = op.input "x" ["batch", "4"] part "A" : tensor<8x4xf32>
// CHECK-NEXT:     %y = op.target "y" classes 3 : tensor<8xi32>
// CHECK-NEXT:     %r = op.target "r" : tensor<8x3xf32>
// CHECK-NEXT:     %t = op.index "t" ["2", "5"] : tensor<2x5xi32>
// CHECK-NEXT:     %w = op.parameter "w" <1.0 * zeros> part "A" : tensor<4x3xf32>
// CHECK-NEXT:     %z = op.dot "z" %x, %w part "B" : tensor<8x4xf32>, tensor<4x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %o = op.input "o" part "A" : tensor<8x5x4x2xf32>
// CHECK-NEXT:     %k = op.parameter "k" <1.0 * zeros> part "A" : tensor<3x2x2x6xf32>
// CHECK-NEXT:     %j = op.convolution "j" %o, %k strides [2, 1] dilation [1, 1] low [1, 0] high [1, 0] part "B" copies "shared" : tensor<8x5x4x2xf32>, tensor<3x2x2x6xf32> -> tensor<8x3x3x6xf32>
// CHECK-NEXT:     %s = op.sum "s" %z, %z axes [] part "A" : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %h = op.sum_relu "h" %s axes [] part "B" : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %m = op.max "m" %h axes [1] : tensor<8x3xf32> -> tensor<8xf32>
// CHECK-NEXT:     %i = op.identity "i" %h part "A" : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %q = op.quantize "q" %i to [-1.000000e+00, 1.000000e+00] part "B" : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %ql = op.quantize_linear "ql" %i by 5.000000e-01 from -8.000000e+00 to 7.000000e+00 part "B" : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %d = op.sum "d" %q, %q axes [] weights [1.000000e+00, -1.000000e+00] offset 5.000000e-01 part "A" : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %g = op.sum_relu "g" %d axes [1] weights [5.000000e-01] part "B" : tensor<8x3xf32> -> tensor<8xf32>
// CHECK-NEXT:     %l = op.min "l" %d axes [] part "B" : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %p = op.product "p" %l, %q part "A" : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %a = op.piecewise "a" %p edges [0.000000e+00] slopes [-1.000000e+00, 1.000000e+00] offsets [0.000000e+00, 0.000000e+00] part "B" : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %e = op.round "e" %d part "B" : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %own = op.apply "own" by "winner" "[n] -> [n]" %d part "B" : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     op.cross_entropy "ce" %q, %y strength 2.000000e+00 part "A" : tensor<8x3xf32>, tensor<8xi32>
// CHECK-NEXT:     op.margin "margin" %q, %y in [0.000000e+00, 1.000000e+00] part "A" : tensor<8x3xf32>, tensor<8xi32>
// CHECK-NEXT:     op.hinge "hinge" %q, %y strength 2.000000e+00 part "A" : tensor<8x3xf32>, tensor<8xi32>
// CHECK-NEXT:     op.class_margin "apart" %q, %y by 5.000000e-01 part "A" : tensor<8x3xf32>, tensor<8xi32>
// CHECK-NEXT:     op.squared_error "error" %e, %r strength 2.000000e+00 part "A" : tensor<8x3xf32>, tensor<8x3xf32>
// CHECK-NEXT:     op.multi_label "several" %e, %r in [0.000000e+00, 1.000000e+00] part "A" : tensor<8x3xf32>, tensor<8x3xf32>
// CHECK-NEXT:     op.equal "equal" %e, %r part "A" : tensor<8x3xf32>, tensor<8x3xf32>
// CHECK-NEXT:     op.set "w.box" %w in "box" {low = -1.000000e+00 : f64, high = 1.000000e+00 : f64} part "B" : tensor<4x3xf32>
// CHECK-NEXT:     %f = op.parameter "f" <1.0 * zeros> family 2 members ["f0", "f1"] : tensor<2x3xf32>
// CHECK-NEXT:     %c = op.constant 5.000000e-01 called "c" : tensor<1x3xf32>
// CHECK-NEXT:     %before = view.shift %c, %next {loop = #feas.loop<"t" 2>} : tensor<1x3xf32>, tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:     %next = op.sum "next" %before, %f axes [] {loop = #feas.loop<"t" 2>} : tensor<2x3xf32>, tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:     op.output "top" %m : tensor<8xf32>
// CHECK-NEXT:     op.output "next" %next : tensor<2x3xf32>
// CHECK-NEXT:   }
// CHECK-NEXT: }

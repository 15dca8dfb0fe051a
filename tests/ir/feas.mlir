// RUN: pjc opt %s | filecheck %s

// Every op of feas, printed and parsed back, with and without parts.

feas.problem @everything dims {batch = 8 : i64} parts ["A", "B"] {
  %x = feas.datum "x" part "A" : tensor<8x4xf32>
  %y = feas.target "y" classes 3 : tensor<8xi32>
  %r = feas.target "r" : tensor<8x3xf32>
  %t = feas.index "t" : tensor<2x5xi32>
  %w = feas.parameter "w" <1.0 * zeros> part "A" : tensor<4x3xf32>
  %z = feas.dot "z" %x, %w part "B" : tensor<8x4xf32>, tensor<4x3xf32> -> tensor<8x3xf32>
  %o = feas.datum "o" part "A" : tensor<8x5x4x2xf32>
  %k = feas.parameter "k" <1.0 * zeros> part "A" : tensor<3x2x2x6xf32>
  %j = feas.convolution "j" %o, %k strides [2, 1] dilation [1, 1] low [1, 0] high [1, 0] part "B" copies "shared" : tensor<8x5x4x2xf32>, tensor<3x2x2x6xf32> -> tensor<8x3x3x6xf32>
  %s = feas.sum "s" %z, %z axes [] part "A" : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
  %h = feas.sum_relu "h" %s axes [] part "B" : tensor<8x3xf32> -> tensor<8x3xf32>
  %m = feas.max "m" %h axes [1] : tensor<8x3xf32> -> tensor<8xf32>
  %i = feas.identity "i" %h part "A" : tensor<8x3xf32> -> tensor<8x3xf32>
  %q = feas.quantize "q" %i to [-1.0, 1.0] part "B" : tensor<8x3xf32> -> tensor<8x3xf32>
  %d = feas.sum "d" %q, %q axes [] weights [1.0, -1.0] offset 0.5 part "A" : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
  %g = feas.sum_relu "g" %d axes [1] weights [0.5] part "B" : tensor<8x3xf32> -> tensor<8xf32>
  %l = feas.min "l" %d axes [] part "B" : tensor<8x3xf32> -> tensor<8x3xf32>
  %p = feas.product "p" %l, %q part "A" : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
  %a = feas.piecewise "a" %p edges [0.0] slopes [-1.0, 1.0] offsets [0.0, 0.0] part "B" : tensor<8x3xf32> -> tensor<8x3xf32>
  %e = feas.round "e" %d part "B" : tensor<8x3xf32> -> tensor<8x3xf32>
  %own = feas.apply "own" "winner" "[n] -> [n]" %d part "B" : tensor<8x3xf32> -> tensor<8x3xf32>
  feas.cross_entropy "ce" %q, %y strength 2.0 part "A" : tensor<8x3xf32>, tensor<8xi32>
  feas.margin "margin" %q, %y in [0.0, 1.0] part "A" : tensor<8x3xf32>, tensor<8xi32>
  feas.hinge "hinge" %q, %y strength 2.0 part "A" : tensor<8x3xf32>, tensor<8xi32>
  feas.class_margin "apart" %q, %y by 0.5 part "A" : tensor<8x3xf32>, tensor<8xi32>
  feas.squared_error "error" %e, %r strength 2.0 part "A" : tensor<8x3xf32>, tensor<8x3xf32>
  feas.multi_label "several" %e, %r in [0.0, 1.0] part "A" : tensor<8x3xf32>, tensor<8x3xf32>
  feas.equal "equal" %e, %r part "A" : tensor<8x3xf32>, tensor<8x3xf32>
  feas.set "w.box" %w in "box" {low = -1.0 : f64, high = 1.0 : f64} part "B" : tensor<4x3xf32>
  %f = feas.parameter "f" <1.0 * zeros> family 2 members ["f0", "f1"] : tensor<2x3xf32>
  %c = feas.constant "c" 0.5 : tensor<1x3xf32>
  %before = view.shift %c, %next {loop = #feas.loop<"t" 2>} : tensor<1x3xf32>, tensor<2x3xf32> -> tensor<2x3xf32>
  %next = feas.sum "next" %before, %f axes [] {loop = #feas.loop<"t" 2>} : tensor<2x3xf32>, tensor<2x3xf32> -> tensor<2x3xf32>
  feas.output "top" %m : tensor<8xf32>
  feas.output "next" %next : tensor<2x3xf32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   feas.problem @everything dims {batch = 8 : i64} parts ["A", "B"] {
// CHECK-NEXT:     %x = feas.datum "x" part "A" : tensor<8x4xf32>
// CHECK-NEXT:     %y = feas.target "y" classes 3 : tensor<8xi32>
// CHECK-NEXT:     %r = feas.target "r" : tensor<8x3xf32>
// CHECK-NEXT:     %t = feas.index "t" : tensor<2x5xi32>
// CHECK-NEXT:     %w = feas.parameter "w" <1.0 * zeros> part "A" : tensor<4x3xf32>
// CHECK-NEXT:     %z = feas.dot "z" %x, %w part "B" : tensor<8x4xf32>, tensor<4x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %o = feas.datum "o" part "A" : tensor<8x5x4x2xf32>
// CHECK-NEXT:     %k = feas.parameter "k" <1.0 * zeros> part "A" : tensor<3x2x2x6xf32>
// CHECK-NEXT:     %j = feas.convolution "j" %o, %k strides [2, 1] dilation [1, 1] low [1, 0] high [1, 0] part "B" copies "shared" : tensor<8x5x4x2xf32>, tensor<3x2x2x6xf32> -> tensor<8x3x3x6xf32>
// CHECK-NEXT:     %s = feas.sum "s" %z, %z axes [] part "A" : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %h = feas.sum_relu "h" %s axes [] part "B" : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %m = feas.max "m" %h axes [1] : tensor<8x3xf32> -> tensor<8xf32>
// CHECK-NEXT:     %i = feas.identity "i" %h part "A" : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %q = feas.quantize "q" %i to [-1.000000e+00, 1.000000e+00] part "B" : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %d = feas.sum "d" %q, %q axes [] weights [1.000000e+00, -1.000000e+00] offset 5.000000e-01 part "A" : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %g = feas.sum_relu "g" %d axes [1] weights [5.000000e-01] part "B" : tensor<8x3xf32> -> tensor<8xf32>
// CHECK-NEXT:     %l = feas.min "l" %d axes [] part "B" : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %p = feas.product "p" %l, %q part "A" : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %a = feas.piecewise "a" %p edges [0.000000e+00] slopes [-1.000000e+00, 1.000000e+00] offsets [0.000000e+00, 0.000000e+00] part "B" : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %e = feas.round "e" %d part "B" : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %own = feas.apply "own" "winner" "[n] -> [n]" %d part "B" : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     feas.cross_entropy "ce" %q, %y strength 2.000000e+00 part "A" : tensor<8x3xf32>, tensor<8xi32>
// CHECK-NEXT:     feas.margin "margin" %q, %y in [0.000000e+00, 1.000000e+00] part "A" : tensor<8x3xf32>, tensor<8xi32>
// CHECK-NEXT:     feas.hinge "hinge" %q, %y strength 2.000000e+00 part "A" : tensor<8x3xf32>, tensor<8xi32>
// CHECK-NEXT:     feas.class_margin "apart" %q, %y by 5.000000e-01 part "A" : tensor<8x3xf32>, tensor<8xi32>
// CHECK-NEXT:     feas.squared_error "error" %e, %r strength 2.000000e+00 part "A" : tensor<8x3xf32>, tensor<8x3xf32>
// CHECK-NEXT:     feas.multi_label "several" %e, %r in [0.000000e+00, 1.000000e+00] part "A" : tensor<8x3xf32>, tensor<8x3xf32>
// CHECK-NEXT:     feas.equal "equal" %e, %r part "A" : tensor<8x3xf32>, tensor<8x3xf32>
// CHECK-NEXT:     feas.set "w.box" %w in "box" {low = -1.000000e+00 : f64, high = 1.000000e+00 : f64} part "B" : tensor<4x3xf32>
// CHECK-NEXT:     %f = feas.parameter "f" <1.0 * zeros> family 2 members ["f0", "f1"] : tensor<2x3xf32>
// CHECK-NEXT:     %c = feas.constant "c" 5.000000e-01 : tensor<1x3xf32>
// CHECK-NEXT:     %before = view.shift %c, %next {loop = #feas.loop<"t" 2>} : tensor<1x3xf32>, tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:     %next = feas.sum "next" %before, %f axes [] {loop = #feas.loop<"t" 2>} : tensor<2x3xf32>, tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:     feas.output "top" %m : tensor<8xf32>
// CHECK-NEXT:     feas.output "next" %next : tensor<2x3xf32>
// CHECK-NEXT:   }
// CHECK-NEXT: }

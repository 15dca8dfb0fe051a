// RUN: pjc opt %s -p 'feas-to-proj{solver="rrr{step=0.3}"}' | filecheck %s

// One dot under a margin: variables, the forward pass, a region for each part, the solver's formula.

feas.problem @p dims {batch = 4 : i64} parts ["A", "B"] {
  %x = op.input "x" part "A" : tensor<4x3xf32>
  %y = op.target "y" classes 2 : tensor<4xi32>
  %w = op.parameter "w" <1.0 * he_normal> part "A" : tensor<3x2xf32>
  %z = op.dot "z" %x, %w part "B" : tensor<4x3xf32>, tensor<3x2xf32> -> tensor<4x2xf32>
  op.margin "loss" %z, %y in [0.0, 1.0] part "A" : tensor<4x2xf32>, tensor<4xi32>
  op.output "z" %z : tensor<4x2xf32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   proj.program @p parts ["A", "B"] dims {batch = 4 : i64} {
// CHECK-NEXT:     proj.input "x" : tensor<4x3xf32>
// CHECK-NEXT:     proj.target "y" classes 2 : tensor<4xi32>
// CHECK-NEXT:     proj.variable @w.slot "slot" of "w" : tensor<3x2xf32>
// CHECK-NEXT:     proj.variable @z.0 "copies" operand 0 of "z" : tensor<4x2x3xf32>
// CHECK-NEXT:     proj.variable @z.1 "copies" operand 1 of "z" : tensor<4x2x3xf32>
// CHECK-NEXT:     proj.variable @loss.0 "copies" operand 0 of "loss" : tensor<4x2xf32>
// CHECK-NEXT:     proj.forward {
// CHECK-NEXT:       %x = proj.datum "x" : tensor<4x3xf32>
// CHECK-NEXT:       %w = op.parameter "w" <1.0 * he_normal> : tensor<3x2xf32>
// CHECK-NEXT:       %z = proj.evaluate "dot" {} %x, %w of "z" : tensor<4x3xf32>, tensor<3x2xf32> -> tensor<4x2xf32>
// CHECK-NEXT:       op.output "z" %z : tensor<4x2xf32>
// CHECK-NEXT:       proj.write %x to [#proj.path<@z.0 via broadcast [4, 2, 3] [0, 2]>] : tensor<4x3xf32>
// CHECK-NEXT:       proj.write %w to [#proj.path<@z.1 via transpose [1, 0] then broadcast [4, 2, 3] [1, 2]>] : tensor<3x2xf32>
// CHECK-NEXT:       proj.write %w to [#proj.path<@w.slot>] : tensor<3x2xf32>
// CHECK-NEXT:       proj.write %z to [#proj.path<@loss.0>] : tensor<4x2xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.part "A" {
// CHECK-NEXT:       %0 = proj.datum "x" : tensor<4x3xf32>
// CHECK-NEXT:       proj.write %0 to [#proj.path<@z.0 via broadcast [4, 2, 3] [0, 2]>] : tensor<4x3xf32>
// CHECK-NEXT:       %1 = proj.gather "w" from [#proj.path<@z.1 via transpose [1, 0] then broadcast [4, 2, 3] [1, 2]>] : tensor<3x2xf32>
// CHECK-NEXT:       proj.write %1 to [#proj.path<@w.slot>, #proj.path<@z.1 via transpose [1, 0] then broadcast [4, 2, 3] [1, 2]>] : tensor<3x2xf32>
// CHECK-NEXT:       %2 = proj.read @loss.0 : tensor<4x2xf32>
// CHECK-NEXT:       %3 = proj.datum "y" : tensor<4xi32>
// CHECK-NEXT:       %4 = proj.project_loss "margin" {low = 0.000000e+00 : f64, high = 1.000000e+00 : f64}(%2) given %3 of "loss" : tensor<4x2xf32> given tensor<4xi32> -> tensor<4x2xf32>
// CHECK-NEXT:       proj.write %4 to [#proj.path<@loss.0>] : tensor<4x2xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.part "B" {
// CHECK-NEXT:       %5 = proj.read @z.0 : tensor<4x2x3xf32>
// CHECK-NEXT:       %6 = proj.read @z.1 : tensor<4x2x3xf32>
// CHECK-NEXT:       %7 = proj.gather "z" from [#proj.path<@loss.0>] : tensor<4x2xf32>
// CHECK-NEXT:       %8, %9, %10 = proj.project "dot" {}(%5, %6) to %7 of "z" : tensor<4x2x3xf32>, tensor<4x2x3xf32> to tensor<4x2xf32> -> tensor<4x2x3xf32>, tensor<4x2x3xf32> to tensor<4x2xf32>
// CHECK-NEXT:       proj.write %8 to [#proj.path<@z.0>] : tensor<4x2x3xf32>
// CHECK-NEXT:       proj.write %9 to [#proj.path<@z.1>] : tensor<4x2x3xf32>
// CHECK-NEXT:       proj.write %10 to [#proj.path<@loss.0>] : tensor<4x2xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.iterate "rrr{step=0.3}" {
// CHECK-NEXT:     ^bb0(%11: !proj.state):
// CHECK-NEXT:       %12 = proj.onto "A" %11
// CHECK-NEXT:       %13 = proj.combine [2.000000e+00, -1.000000e+00] %12, %11 : !proj.state, !proj.state
// CHECK-NEXT:       %14 = proj.onto "B" %13
// CHECK-NEXT:       %15 = proj.combine [3.000000e-01, -3.000000e-01, 1.000000e+00] %14, %12, %11 : !proj.state, !proj.state, !proj.state
// CHECK-NEXT:       proj.yield %15 gap %14, %12
// CHECK-NEXT:     }
// CHECK-NEXT:   }
// CHECK-NEXT: }

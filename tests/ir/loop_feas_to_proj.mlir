// RUN: pjc opt %s -p 'feas-to-proj{solver=ap}' | filecheck %s

// The forward pass runs a loop; gathers count a family's nodes; bias is read by all four of them.

feas.problem @p dims {batch = 2 : i64} parts ["A", "B"] {
  %x = op.input "x" part "B" : tensor<4x2xf32>
  %y = op.target "y" classes 2 : tensor<4xi32>
  %h0 = op.constant 0.0 called "h0" part "B" : tensor<1x2xf32>
  %b = op.parameter "b" <1.0 * zeros> part "B" : tensor<2xf32>
  %bs = view.broadcast %b [1] {loop = #feas.loop<"t" 4>} : tensor<2xf32> -> tensor<4x2xf32>
  %before = view.shift %h0, %i {loop = #feas.loop<"t" 4>} : tensor<1x2xf32>, tensor<4x2xf32> -> tensor<4x2xf32>
  %h = op.sum_relu "h" %x, %before, %bs axes [] part "A" {loop = #feas.loop<"t" 4>} : tensor<4x2xf32>, tensor<4x2xf32>, tensor<4x2xf32> -> tensor<4x2xf32>
  %i = op.identity "i" %h part "B" {loop = #feas.loop<"t" 4>} : tensor<4x2xf32> -> tensor<4x2xf32>
  op.margin "loss" %i, %y in [0.0, 1.0] part "A" : tensor<4x2xf32>, tensor<4xi32>
  op.output "i" %i : tensor<4x2xf32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   proj.program @p parts ["A", "B"] dims {batch = 2 : i64} {
// CHECK-NEXT:     proj.input "x" : tensor<4x2xf32>
// CHECK-NEXT:     proj.target "y" classes 2 : tensor<4xi32>
// CHECK-NEXT:     proj.variable @b.slot "slot" of "b" : tensor<2xf32>
// CHECK-NEXT:     proj.variable @h.0 "copies" operand 0 of "h" : tensor<4x2xf32>
// CHECK-NEXT:     proj.variable @h.1 "copies" operand 1 of "h" : tensor<4x2xf32>
// CHECK-NEXT:     proj.variable @h.2 "copies" operand 2 of "h" : tensor<4x2xf32>
// CHECK-NEXT:     proj.variable @i.0 "copies" operand 0 of "i" : tensor<4x2xf32>
// CHECK-NEXT:     proj.variable @loss.0 "copies" operand 0 of "loss" : tensor<4x2xf32>
// CHECK-NEXT:     proj.forward {
// CHECK-NEXT:       %x = proj.datum "x" : tensor<4x2xf32>
// CHECK-NEXT:       %h0 = op.constant 0.000000e+00 called "h0" : tensor<1x2xf32>
// CHECK-NEXT:       %b = op.parameter "b" <1.0 * zeros> : tensor<2xf32>
// CHECK-NEXT:       %h, %i = proj.for "t" 4 carries(%h0) over(%x) : (tensor<1x2xf32>) over(tensor<4x2xf32>) -> (tensor<4x2xf32>, tensor<4x2xf32>) {
// CHECK-NEXT:       ^bb0(%0: tensor<1x2xf32>, %1: tensor<1x2xf32>):
// CHECK-NEXT:         %bs = view.broadcast %b [1] : tensor<2xf32> -> tensor<1x2xf32>
// CHECK-NEXT:         %h_1 = proj.evaluate "sum_relu" {axes = array<i64>} %1, %0, %bs of "h" : tensor<1x2xf32>, tensor<1x2xf32>, tensor<1x2xf32> -> tensor<1x2xf32>
// CHECK-NEXT:         %i_1 = proj.evaluate "identity" {} %h_1 of "i" : tensor<1x2xf32> -> tensor<1x2xf32>
// CHECK-NEXT:         proj.next(%i_1) collect(%h_1, %i_1) : (tensor<1x2xf32>) collect(tensor<1x2xf32>, tensor<1x2xf32>)
// CHECK-NEXT:       }
// CHECK-NEXT:       op.output "i" %i : tensor<4x2xf32>
// CHECK-NEXT:       proj.write %x to [#proj.path<@h.0>] : tensor<4x2xf32>
// CHECK-NEXT:       proj.write %h0 to [#proj.path<@h.1 via place [0, 0, 4]>] : tensor<1x2xf32>
// CHECK-NEXT:       proj.write %b to [#proj.path<@h.2 via broadcast [4, 2] [1] for 4>] : tensor<2xf32>
// CHECK-NEXT:       proj.write %b to [#proj.path<@b.slot>] : tensor<2xf32>
// CHECK-NEXT:       proj.write %h to [#proj.path<@i.0>] : tensor<4x2xf32>
// CHECK-NEXT:       proj.write %i to [#proj.path<@h.1 via shift [1]>, #proj.path<@loss.0>] : tensor<4x2xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.part "A" {
// CHECK-NEXT:       %2 = proj.read @h.0 : tensor<4x2xf32>
// CHECK-NEXT:       %3 = proj.read @h.1 : tensor<4x2xf32>
// CHECK-NEXT:       %4 = proj.read @h.2 : tensor<4x2xf32>
// CHECK-NEXT:       %5 = proj.gather "h" from [#proj.path<@i.0>] : tensor<4x2xf32>
// CHECK-NEXT:       %6, %7, %8, %9 = proj.project "sum_relu" {axes = array<i64>}(%2, %3, %4) to %5 of "h" : tensor<4x2xf32>, tensor<4x2xf32>, tensor<4x2xf32> to tensor<4x2xf32> -> tensor<4x2xf32>, tensor<4x2xf32>, tensor<4x2xf32> to tensor<4x2xf32>
// CHECK-NEXT:       proj.write %6 to [#proj.path<@h.0>] : tensor<4x2xf32>
// CHECK-NEXT:       proj.write %7 to [#proj.path<@h.1>] : tensor<4x2xf32>
// CHECK-NEXT:       proj.write %8 to [#proj.path<@h.2>] : tensor<4x2xf32>
// CHECK-NEXT:       proj.write %9 to [#proj.path<@i.0>] : tensor<4x2xf32>
// CHECK-NEXT:       %10 = proj.read @loss.0 : tensor<4x2xf32>
// CHECK-NEXT:       %11 = proj.datum "y" : tensor<4xi32>
// CHECK-NEXT:       %12 = proj.project_loss "margin" {low = 0.000000e+00 : f64, high = 1.000000e+00 : f64}(%10) given %11 of "loss" : tensor<4x2xf32> given tensor<4xi32> -> tensor<4x2xf32>
// CHECK-NEXT:       proj.write %12 to [#proj.path<@loss.0>] : tensor<4x2xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.part "B" {
// CHECK-NEXT:       %13 = proj.datum "x" : tensor<4x2xf32>
// CHECK-NEXT:       proj.write %13 to [#proj.path<@h.0>] : tensor<4x2xf32>
// CHECK-NEXT:       %14 = op.constant 0.000000e+00 called "h0" : tensor<1x2xf32>
// CHECK-NEXT:       proj.write %14 to [#proj.path<@h.1 via place [0, 0, 4]>] : tensor<1x2xf32>
// CHECK-NEXT:       %15 = proj.gather "b" from [#proj.path<@h.2 via broadcast [4, 2] [1] for 4>] : tensor<2xf32>
// CHECK-NEXT:       proj.write %15 to [#proj.path<@b.slot>, #proj.path<@h.2 via broadcast [4, 2] [1] for 4>] : tensor<2xf32>
// CHECK-NEXT:       %16 = proj.read @i.0 : tensor<4x2xf32>
// CHECK-NEXT:       %17 = proj.gather "i" from [#proj.path<@h.1 via shift [1]>, #proj.path<@loss.0>] : tensor<4x2xf32>
// CHECK-NEXT:       %18, %19 = proj.project "identity" {}(%16) to %17 of "i" : tensor<4x2xf32> to tensor<4x2xf32> -> tensor<4x2xf32> to tensor<4x2xf32>
// CHECK-NEXT:       proj.write %18 to [#proj.path<@i.0>] : tensor<4x2xf32>
// CHECK-NEXT:       proj.write %19 to [#proj.path<@h.1 via shift [1]>, #proj.path<@loss.0>] : tensor<4x2xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.iterate "ap" {
// CHECK-NEXT:     ^bb0(%20: !proj.state):
// CHECK-NEXT:       %21 = proj.onto "A" %20
// CHECK-NEXT:       %22 = proj.onto "B" %21
// CHECK-NEXT:       proj.yield %22 gap %22, %21
// CHECK-NEXT:     }
// CHECK-NEXT:   }
// CHECK-NEXT: }

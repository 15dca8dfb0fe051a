// RUN: pjc opt %s -p feas-to-stream | filecheck %s

// Each iteration of the loop is a stage: it takes what the one before handed on a tick ago.

feas.problem @p dims {batch = 2 : i64} {
  %x = op.input "x" ["batch", "3"] : tensor<2x3xf32>
  %y = op.target "y" ["batch", "3"] : tensor<2x3xf32>
  %first = view.reshape %x : tensor<2x3xf32> -> tensor<1x2x3xf32>
  %h = view.shift %first, %rest {loop = #feas.loop<"i" 4>} : tensor<1x2x3xf32>, tensor<4x2x3xf32> -> tensor<4x2x3xf32>
  %b = op.parameter "b" <1.0 * zeros> family 4 : tensor<4x3xf32>
  %bs = view.broadcast %b [0, 2] {loop = #feas.loop<"i" 4>} : tensor<4x3xf32> -> tensor<4x2x3xf32>
  %rest = op.sum_relu "layer" %h, %bs axes [] {loop = #feas.loop<"i" 4>} : tensor<4x2x3xf32>, tensor<4x2x3xf32> -> tensor<4x2x3xf32>
  %last = view.slice %rest [3, 0, 0] [4, 2, 3] [1, 1, 1] : tensor<4x2x3xf32> -> tensor<1x2x3xf32>
  %out = view.reshape %last : tensor<1x2x3xf32> -> tensor<2x3xf32>
  op.squared_error "loss" %out, %y strength 1.0 : tensor<2x3xf32>, tensor<2x3xf32>
  op.output "out" %out : tensor<2x3xf32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   proj.program @p parts [] dims {batch = 2 : i64} {
// CHECK-NEXT:     proj.input "x" : tensor<2x3xf32>
// CHECK-NEXT:     proj.target "y" : tensor<2x3xf32>
// CHECK-NEXT:     proj.variable @b.slot "slot" of "b" : tensor<4x3xf32>
// CHECK-NEXT:     proj.ring @x "data" 0 to 0 stages 1 length 10 : tensor<2x3xf32>
// CHECK-NEXT:     proj.ring @y "data" 0 to 0 stages 1 length 5 : tensor<2x3xf32>
// CHECK-NEXT:     proj.ring @i "values" 0 to 1 stages 4 length 9 : tensor<1x2x3xf32>
// CHECK-NEXT:     proj.ring @i.asked "demands" 1 to 0 stages 4 length 1 : tensor<1x2x3xf32>
// CHECK-NEXT:     proj.ring @i.end "values" 4 to 5 stages 1 length 1 : tensor<1x2x3xf32>
// CHECK-NEXT:     proj.ring @i.end.asked "demands" 5 to 4 stages 1 length 1 : tensor<1x2x3xf32>
// CHECK-NEXT:     proj.forward {
// CHECK-NEXT:       %x = proj.datum "x" : tensor<2x3xf32>
// CHECK-NEXT:       %first = view.reshape %x : tensor<2x3xf32> -> tensor<1x2x3xf32>
// CHECK-NEXT:       %b = op.parameter "b" <1.0 * zeros> family 4 : tensor<4x3xf32>
// CHECK-NEXT:       %rest = proj.for "i" 4 carries(%first) over(%b) : (tensor<1x2x3xf32>) over(tensor<4x3xf32>) -> (tensor<4x2x3xf32>) {
// CHECK-NEXT:       ^bb0(%0: tensor<1x2x3xf32>, %1: tensor<1x3xf32>):
// CHECK-NEXT:         %bs = view.broadcast %1 [0, 2] : tensor<1x3xf32> -> tensor<1x2x3xf32>
// CHECK-NEXT:         %rest_1 = proj.evaluate "sum_relu" {axes = array<i64>} %0, %bs of "layer" : tensor<1x2x3xf32>, tensor<1x2x3xf32> -> tensor<1x2x3xf32>
// CHECK-NEXT:         proj.next(%rest_1) collect(%rest_1) : (tensor<1x2x3xf32>) collect(tensor<1x2x3xf32>)
// CHECK-NEXT:       }
// CHECK-NEXT:       %last = view.slice %rest [3, 0, 0] [4, 2, 3] [1, 1, 1] : tensor<4x2x3xf32> -> tensor<1x2x3xf32>
// CHECK-NEXT:       %out = view.reshape %last : tensor<1x2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:       op.output "out" %out : tensor<2x3xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.stage "before" 0 stages 1 {
// CHECK-NEXT:       proj.forward {
// CHECK-NEXT:         %x_1 = proj.datum "x" : tensor<2x3xf32>
// CHECK-NEXT:         %first_1 = view.reshape %x_1 : tensor<2x3xf32> -> tensor<1x2x3xf32>
// CHECK-NEXT:         proj.hand %first_1 to @i : tensor<1x2x3xf32>
// CHECK-NEXT:       }
// CHECK-NEXT:       proj.sweep "stream" {
// CHECK-NEXT:         %2 = proj.take @i.asked : tensor<1x2x3xf32>
// CHECK-NEXT:       }
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.stage "i" 1 stages 4 {
// CHECK-NEXT:       proj.forward {
// CHECK-NEXT:         %h = proj.take @i : tensor<1x2x3xf32>
// CHECK-NEXT:         %b_1 = op.parameter "b" <1.0 * zeros> : tensor<1x3xf32>
// CHECK-NEXT:         %bs_1 = view.broadcast %b_1 [0, 2] : tensor<1x3xf32> -> tensor<1x2x3xf32>
// CHECK-NEXT:         %rest_2 = proj.evaluate "sum_relu" {axes = array<i64>} %h, %bs_1 of "layer" : tensor<1x2x3xf32>, tensor<1x2x3xf32> -> tensor<1x2x3xf32>
// CHECK-NEXT:         proj.hand %rest_2 to @i : tensor<1x2x3xf32>
// CHECK-NEXT:         proj.hand %rest_2 to @i.end : tensor<1x2x3xf32>
// CHECK-NEXT:       }
// CHECK-NEXT:       proj.sweep "stream" {
// CHECK-NEXT:         %3 = proj.take @i.asked : tensor<1x2x3xf32>
// CHECK-NEXT:         %4 = proj.take @i.end.asked : tensor<1x2x3xf32>
// CHECK-NEXT:         %5 = proj.add %3, %4 : tensor<1x2x3xf32>, tensor<1x2x3xf32> -> tensor<1x2x3xf32>
// CHECK-NEXT:         %6 = proj.take @i : tensor<1x2x3xf32>
// CHECK-NEXT:         %7 = proj.value "b" : tensor<1x3xf32>
// CHECK-NEXT:         %bs_2 = view.broadcast %7 [0, 2] : tensor<1x3xf32> -> tensor<1x2x3xf32>
// CHECK-NEXT:         %8, %9 = proj.respond "sum_relu" {axes = array<i64>}(%6, %bs_2) demand %5 of "layer" weight 1.000000e-03 samples [1, 1] : (tensor<1x2x3xf32>, tensor<1x2x3xf32>) demand tensor<1x2x3xf32> -> (tensor<1x2x3xf32>, tensor<1x2x3xf32>)
// CHECK-NEXT:         %10 = proj.collect %9 through <broadcast [1, 2, 3] [0, 2]> : tensor<1x2x3xf32> -> tensor<1x3xf32>
// CHECK-NEXT:         %11 = proj.over_samples "mean" everywhere %10 : tensor<1x3xf32> -> tensor<1x3xf32>
// CHECK-NEXT:         proj.displace @b.slot %11 : tensor<1x3xf32>
// CHECK-NEXT:         proj.hand %8 to @i.asked : tensor<1x2x3xf32>
// CHECK-NEXT:       }
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.stage "behind" 5 stages 1 {
// CHECK-NEXT:       proj.forward {
// CHECK-NEXT:         %last_1 = proj.take @i.end : tensor<1x2x3xf32>
// CHECK-NEXT:         %out_1 = view.reshape %last_1 : tensor<1x2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:       }
// CHECK-NEXT:       proj.sweep "stream" {
// CHECK-NEXT:         %12 = proj.take @i.end : tensor<1x2x3xf32>
// CHECK-NEXT:         %out_2 = view.reshape %12 : tensor<1x2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:         %13 = proj.datum "y" : tensor<2x3xf32>
// CHECK-NEXT:         %14 = proj.demand "squared_error" {strength = 1.000000e+00 : f64} %out_2 given %13 of "loss" samples [0, 1] : tensor<2x3xf32> given tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:         %15 = proj.collect %14 through <reshape [2, 3]> : tensor<2x3xf32> -> tensor<1x2x3xf32>
// CHECK-NEXT:         proj.hand %15 to @i.end.asked : tensor<1x2x3xf32>
// CHECK-NEXT:       }
// CHECK-NEXT:     }
// CHECK-NEXT:   }
// CHECK-NEXT: }

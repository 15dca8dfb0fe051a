// RUN: pjc opt %s -p feas-to-sweep | filecheck %s

// A recurrence is asked backwards, step by step; what all its steps read is asked once, of all of them.

feas.problem @p dims {batch = 2 : i64} {
  %x = op.input "x" ["batch", "2"] : tensor<2x2xf32>
  %y = op.target "y" ["batch", "2"] : tensor<2x2xf32>
  %w = op.parameter "w" <1.0 * he_normal> : tensor<2x2xf32>
  %b = op.parameter "b" <1.0 * zeros> : tensor<2xf32>
  %xs = view.broadcast %x [1, 2] {loop = #feas.loop<"t" 3>} : tensor<2x2xf32> -> tensor<3x2x2xf32>
  %h0 = op.constant 0.0 called "h0" : tensor<1x2x2xf32>
  %before = view.shift %h0, %h {loop = #feas.loop<"t" 3>} : tensor<1x2x2xf32>, tensor<3x2x2xf32> -> tensor<3x2x2xf32>
  %flat = view.reshape %before {loop = #feas.loop<"t" 3>} : tensor<3x2x2xf32> -> tensor<6x2xf32>
  %z = op.dot "z" %flat, %w copies "shared" {loop = #feas.loop<"t" 3>} : tensor<6x2xf32>, tensor<2x2xf32> -> tensor<6x2xf32>
  %back = view.reshape %z {loop = #feas.loop<"t" 3>} : tensor<6x2xf32> -> tensor<3x2x2xf32>
  %bs = view.broadcast %b [2] {loop = #feas.loop<"t" 3>} : tensor<2xf32> -> tensor<3x2x2xf32>
  %h = op.sum_relu "h" %back, %xs, %bs axes [] {loop = #feas.loop<"t" 3>} : tensor<3x2x2xf32>, tensor<3x2x2xf32>, tensor<3x2x2xf32> -> tensor<3x2x2xf32>
  %last = view.slice %h [2, 0, 0] [3, 2, 2] [1, 1, 1] : tensor<3x2x2xf32> -> tensor<1x2x2xf32>
  %out = view.reshape %last : tensor<1x2x2xf32> -> tensor<2x2xf32>
  op.squared_error "loss" %out, %y strength 1.0 : tensor<2x2xf32>, tensor<2x2xf32>
  op.set "kept" %b in "nonneg" {} : tensor<2xf32>
  op.output "out" %out : tensor<2x2xf32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   proj.program @p parts [] dims {batch = 2 : i64} {
// CHECK-NEXT:     proj.input "x" : tensor<2x2xf32>
// CHECK-NEXT:     proj.target "y" : tensor<2x2xf32>
// CHECK-NEXT:     proj.variable @w.slot "slot" of "w" : tensor<2x2xf32>
// CHECK-NEXT:     proj.variable @b.slot "slot" of "b" : tensor<2xf32>
// CHECK-NEXT:     proj.forward {
// CHECK-NEXT:       %x = proj.datum "x" : tensor<2x2xf32>
// CHECK-NEXT:       %w = op.parameter "w" <1.0 * he_normal> : tensor<2x2xf32>
// CHECK-NEXT:       %b = op.parameter "b" <1.0 * zeros> : tensor<2xf32>
// CHECK-NEXT:       %h0 = op.constant 0.000000e+00 called "h0" : tensor<1x2x2xf32>
// CHECK-NEXT:       %z, %h = proj.for "t" 3 carries(%h0) over() : (tensor<1x2x2xf32>) over() -> (tensor<6x2xf32>, tensor<3x2x2xf32>) {
// CHECK-NEXT:       ^bb0(%0: tensor<1x2x2xf32>):
// CHECK-NEXT:         %xs = view.broadcast %x [1, 2] : tensor<2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:         %flat = view.reshape %0 : tensor<1x2x2xf32> -> tensor<2x2xf32>
// CHECK-NEXT:         %z_1 = proj.evaluate "dot" {} %flat, %w of "z" : tensor<2x2xf32>, tensor<2x2xf32> -> tensor<2x2xf32>
// CHECK-NEXT:         %back = view.reshape %z_1 : tensor<2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:         %bs = view.broadcast %b [2] : tensor<2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:         %h_1 = proj.evaluate "sum_relu" {axes = array<i64>} %back, %xs, %bs of "h" : tensor<1x2x2xf32>, tensor<1x2x2xf32>, tensor<1x2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:         proj.next(%h_1) collect(%z_1, %h_1) : (tensor<1x2x2xf32>) collect(tensor<2x2xf32>, tensor<1x2x2xf32>)
// CHECK-NEXT:       }
// CHECK-NEXT:       %last = view.slice %h [2, 0, 0] [3, 2, 2] [1, 1, 1] : tensor<3x2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:       %out = view.reshape %last : tensor<1x2x2xf32> -> tensor<2x2xf32>
// CHECK-NEXT:       op.output "out" %out : tensor<2x2xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.constrain "nonneg" {} [#proj.path<@b.slot>] of "kept"
// CHECK-NEXT:     proj.sweep "sweep" {
// CHECK-NEXT:       %1 = proj.value "h" : tensor<3x2x2xf32>
// CHECK-NEXT:       %last_1 = view.slice %1 [2, 0, 0] [3, 2, 2] [1, 1, 1] : tensor<3x2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:       %out_1 = view.reshape %last_1 : tensor<1x2x2xf32> -> tensor<2x2xf32>
// CHECK-NEXT:       %2 = proj.datum "y" : tensor<2x2xf32>
// CHECK-NEXT:       %3 = proj.demand "squared_error" {strength = 1.000000e+00 : f64} %out_1 given %2 of "loss" samples [0, 1] : tensor<2x2xf32> given tensor<2x2xf32> -> tensor<2x2xf32>
// CHECK-NEXT:       %4 = proj.collect %3 through <reshape [2, 2]> : tensor<2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:       %5 = proj.collect %4 through <slice [2, 0, 0] [3, 2, 2] [1, 1, 1]> : tensor<1x2x2xf32> -> tensor<3x2x2xf32>
// CHECK-NEXT:       %6 = op.constant 0.000000e+00 : tensor<1x2x2xf32>
// CHECK-NEXT:       %7 = proj.value "z" : tensor<6x2xf32>
// CHECK-NEXT:       %back_1 = view.reshape %7 : tensor<6x2xf32> -> tensor<3x2x2xf32>
// CHECK-NEXT:       %8 = proj.datum "x" : tensor<2x2xf32>
// CHECK-NEXT:       %xs_1 = view.broadcast %8 [1, 2] : tensor<2x2xf32> -> tensor<3x2x2xf32>
// CHECK-NEXT:       %9 = proj.value "b" : tensor<2xf32>
// CHECK-NEXT:       %bs_1 = view.broadcast %9 [2] : tensor<2xf32> -> tensor<3x2x2xf32>
// CHECK-NEXT:       %h0_1 = op.constant 0.000000e+00 called "h0" : tensor<1x2x2xf32>
// CHECK-NEXT:       %before = view.shift %h0_1, %1 : tensor<1x2x2xf32>, tensor<3x2x2xf32> -> tensor<3x2x2xf32>
// CHECK-NEXT:       %flat_1 = view.reshape %before : tensor<3x2x2xf32> -> tensor<6x2xf32>
// CHECK-NEXT:       %10 = proj.value "w" : tensor<2x2xf32>
// CHECK-NEXT:       %11, %12, %13, %14 = proj.norms "dot" {}(%flat_1, %10) of "z" samples [0, 1] steps 3 : tensor<6x2xf32>, tensor<2x2xf32> -> tensor<6x1xf32>, tensor<1x2xf32>, tensor<3x1xf32>, tensor<3x1xf32>
// CHECK-NEXT:       %15, %16, %17, %18 = proj.for "t" 3 reversed carries(%6) over(%5, %back_1, %xs_1, %bs_1, %7, %11, %13, %14, %flat_1) : (tensor<1x2x2xf32>) over(tensor<3x2x2xf32>, tensor<3x2x2xf32>, tensor<3x2x2xf32>, tensor<3x2x2xf32>, tensor<6x2xf32>, tensor<6x1xf32>, tensor<3x1xf32>, tensor<3x1xf32>, tensor<6x2xf32>) -> (tensor<3x2x2xf32>, tensor<6x2xf32>, tensor<6x2xf32>) leaving(tensor<1x2x2xf32>) {
// CHECK-NEXT:       ^bb0(%19: tensor<1x2x2xf32>, %20: tensor<1x2x2xf32>, %21: tensor<1x2x2xf32>, %22: tensor<1x2x2xf32>, %23: tensor<1x2x2xf32>, %24: tensor<2x2xf32>, %25: tensor<2x1xf32>, %26: tensor<1x1xf32>, %27: tensor<1x1xf32>, %28: tensor<2x2xf32>):
// CHECK-NEXT:         %29 = proj.add %19, %20 : tensor<1x2x2xf32>, tensor<1x2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:         %30, %31, %32 = proj.respond "sum_relu" {axes = array<i64>}(%21, %22, %23) demand %29 of "h" weight 1.000000e-03 samples [1, 1] : (tensor<1x2x2xf32>, tensor<1x2x2xf32>, tensor<1x2x2xf32>) demand tensor<1x2x2xf32> -> (tensor<1x2x2xf32>, tensor<1x2x2xf32>, tensor<1x2x2xf32>)
// CHECK-NEXT:         %33 = proj.collect %30 through <reshape [1, 2, 2]> : tensor<1x2x2xf32> -> tensor<2x2xf32>
// CHECK-NEXT:         %34, %35 = proj.multipliers "dot" {} %24 demand %33 norms(%25, %12, %26, %27) of "z" weight 1.000000e-01 : tensor<2x2xf32> demand tensor<2x2xf32> norms(tensor<2x1xf32>, tensor<1x2xf32>, tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<2x2xf32>, tensor<2x2xf32>
// CHECK-NEXT:         %36 = proj.respond_shared "dot" {}(%28, %10) by(%34, %35) operand 0 of "z" : tensor<2x2xf32>, tensor<2x2xf32> by tensor<2x2xf32>, tensor<2x2xf32> -> tensor<2x2xf32>
// CHECK-NEXT:         %37 = proj.collect %36 through <reshape [2, 2]> : tensor<2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:         %38 = proj.bound "power" %37 samples [1, 1] to %33 samples [0, 1] : tensor<1x2x2xf32> to tensor<2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:         proj.next(%38) collect(%32, %34, %35) : (tensor<1x2x2xf32>) collect(tensor<1x2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>)
// CHECK-NEXT:       }
// CHECK-NEXT:       %39 = proj.respond_shared "dot" {}(%flat_1, %10) by(%16, %17) operand 1 of "z" : tensor<6x2xf32>, tensor<2x2xf32> by tensor<6x2xf32>, tensor<6x2xf32> -> tensor<2x2xf32>
// CHECK-NEXT:       %40 = proj.collect %15 through <broadcast [3, 2, 2] [2]> : tensor<3x2x2xf32> -> tensor<2xf32>
// CHECK-NEXT:       %41 = proj.over_samples "mean" everywhere %40 : tensor<2xf32> -> tensor<2xf32>
// CHECK-NEXT:       proj.displace @b.slot %41 : tensor<2xf32>
// CHECK-NEXT:       %42 = proj.over_samples "mean" everywhere %39 : tensor<2x2xf32> -> tensor<2x2xf32>
// CHECK-NEXT:       proj.displace @w.slot %42 : tensor<2x2xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:   }
// CHECK-NEXT: }

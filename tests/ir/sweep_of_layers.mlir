// RUN: pjc opt %s -p feas-to-sweep | filecheck %s

// A loop of layers: what samples ask of a bias is added up step by step, and what the first step asks of what
// the loop starts from is what is carried in the end.

feas.problem @p dims {batch = 2 : i64} {
  %x = op.input "x" ["batch", "2"] : tensor<2x2xf32>
  %y = op.target "y" ["batch", "2"] : tensor<2x2xf32>
  %v = op.parameter "v" <1.0 * he_normal> : tensor<2x2xf32>
  %w = op.parameter "w" <1.0 * he_normal> : tensor<4x2x2xf32>
  %b = op.parameter "b" <1.0 * zeros> : tensor<4x2xf32>
  %first = op.dot "first" %x, %v copies "shared" : tensor<2x2xf32>, tensor<2x2xf32> -> tensor<2x2xf32>
  %h0 = view.reshape %first : tensor<2x2xf32> -> tensor<1x2x2xf32>
  %before = view.shift %h0, %h {loop = #feas.loop<"layer" 4>} : tensor<1x2x2xf32>, tensor<4x2x2xf32> -> tensor<4x2x2xf32>
  %z = op.dot "z" %before, %w copies "shared" {loop = #feas.loop<"layer" 4>} : tensor<4x2x2xf32>, tensor<4x2x2xf32> -> tensor<4x2x2xf32>
  %bs = view.broadcast %b [0, 2] {loop = #feas.loop<"layer" 4>} : tensor<4x2xf32> -> tensor<4x2x2xf32>
  %h = op.sum_relu "h" %z, %bs axes [] {loop = #feas.loop<"layer" 4>} : tensor<4x2x2xf32>, tensor<4x2x2xf32> -> tensor<4x2x2xf32>
  %last = view.slice %h [3, 0, 0] [4, 2, 2] [1, 1, 1] : tensor<4x2x2xf32> -> tensor<1x2x2xf32>
  %out = view.reshape %last : tensor<1x2x2xf32> -> tensor<2x2xf32>
  op.squared_error "loss" %out, %y strength 1.0 : tensor<2x2xf32>, tensor<2x2xf32>
  op.output "out" %out : tensor<2x2xf32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   proj.program @p parts [] dims {batch = 2 : i64} {
// CHECK-NEXT:     proj.input "x" : tensor<2x2xf32>
// CHECK-NEXT:     proj.target "y" : tensor<2x2xf32>
// CHECK-NEXT:     proj.variable @v.slot "slot" of "v" : tensor<2x2xf32>
// CHECK-NEXT:     proj.variable @w.slot "slot" of "w" : tensor<4x2x2xf32>
// CHECK-NEXT:     proj.variable @b.slot "slot" of "b" : tensor<4x2xf32>
// CHECK-NEXT:     proj.forward {
// CHECK-NEXT:       %x = proj.datum "x" : tensor<2x2xf32>
// CHECK-NEXT:       %v = op.parameter "v" <1.0 * he_normal> : tensor<2x2xf32>
// CHECK-NEXT:       %w = op.parameter "w" <1.0 * he_normal> : tensor<4x2x2xf32>
// CHECK-NEXT:       %b = op.parameter "b" <1.0 * zeros> : tensor<4x2xf32>
// CHECK-NEXT:       %first = proj.evaluate "dot" {} %x, %v of "first" : tensor<2x2xf32>, tensor<2x2xf32> -> tensor<2x2xf32>
// CHECK-NEXT:       %h0 = view.reshape %first : tensor<2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:       %z, %h = proj.for "layer" 4 carries(%h0) over(%w, %b) : (tensor<1x2x2xf32>) over(tensor<4x2x2xf32>, tensor<4x2xf32>) -> (tensor<4x2x2xf32>, tensor<4x2x2xf32>) {
// CHECK-NEXT:       ^bb0(%0: tensor<1x2x2xf32>, %1: tensor<1x2x2xf32>, %2: tensor<1x2xf32>):
// CHECK-NEXT:         %z_1 = proj.evaluate "dot" {} %0, %1 of "z" : tensor<1x2x2xf32>, tensor<1x2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:         %bs = view.broadcast %2 [0, 2] : tensor<1x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:         %h_1 = proj.evaluate "sum_relu" {axes = array<i64>} %z_1, %bs of "h" : tensor<1x2x2xf32>, tensor<1x2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:         proj.next(%h_1) collect(%z_1, %h_1) : (tensor<1x2x2xf32>) collect(tensor<1x2x2xf32>, tensor<1x2x2xf32>)
// CHECK-NEXT:       }
// CHECK-NEXT:       %last = view.slice %h [3, 0, 0] [4, 2, 2] [1, 1, 1] : tensor<4x2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:       %out = view.reshape %last : tensor<1x2x2xf32> -> tensor<2x2xf32>
// CHECK-NEXT:       op.output "out" %out : tensor<2x2xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.sweep "sweep" {
// CHECK-NEXT:       %3 = proj.value "h" : tensor<4x2x2xf32>
// CHECK-NEXT:       %last_1 = view.slice %3 [3, 0, 0] [4, 2, 2] [1, 1, 1] : tensor<4x2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:       %out_1 = view.reshape %last_1 : tensor<1x2x2xf32> -> tensor<2x2xf32>
// CHECK-NEXT:       %4 = proj.datum "y" : tensor<2x2xf32>
// CHECK-NEXT:       %5 = proj.demand "squared_error" {strength = 1.000000e+00 : f64} %out_1 given %4 of "loss" samples [0, 1] : tensor<2x2xf32> given tensor<2x2xf32> -> tensor<2x2xf32>
// CHECK-NEXT:       %6 = proj.collect %5 through <reshape [2, 2]> : tensor<2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:       %7 = proj.collect %6 through <slice [3, 0, 0] [4, 2, 2] [1, 1, 1]> : tensor<1x2x2xf32> -> tensor<4x2x2xf32>
// CHECK-NEXT:       %8 = op.constant 0.000000e+00 : tensor<1x2x2xf32>
// CHECK-NEXT:       %9 = proj.value "z" : tensor<4x2x2xf32>
// CHECK-NEXT:       %10 = proj.value "b" : tensor<4x2xf32>
// CHECK-NEXT:       %11 = proj.value "first" : tensor<2x2xf32>
// CHECK-NEXT:       %h0_1 = view.reshape %11 : tensor<2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:       %before = view.shift %h0_1, %3 : tensor<1x2x2xf32>, tensor<4x2x2xf32> -> tensor<4x2x2xf32>
// CHECK-NEXT:       %12 = proj.value "w" : tensor<4x2x2xf32>
// CHECK-NEXT:       %13, %14, %15, %16 = proj.norms "dot" {}(%before, %12) of "z" samples [1, 1] steps 4 : tensor<4x2x2xf32>, tensor<4x2x2xf32> -> tensor<4x2x1xf32>, tensor<4x1x2xf32>, tensor<4x1x1xf32>, tensor<4x1x1xf32>
// CHECK-NEXT:       %17, %18, %19 = proj.for "layer" 4 reversed carries(%8) over(%7, %9, %10, %14, %13, %15, %16, %before, %12) : (tensor<1x2x2xf32>) over(tensor<4x2x2xf32>, tensor<4x2x2xf32>, tensor<4x2xf32>, tensor<4x1x2xf32>, tensor<4x2x1xf32>, tensor<4x1x1xf32>, tensor<4x1x1xf32>, tensor<4x2x2xf32>, tensor<4x2x2xf32>) -> (tensor<4x2x2xf32>, tensor<4x2xf32>) leaving(tensor<1x2x2xf32>) {
// CHECK-NEXT:       ^bb0(%20: tensor<1x2x2xf32>, %21: tensor<1x2x2xf32>, %22: tensor<1x2x2xf32>, %23: tensor<1x2xf32>, %24: tensor<1x1x2xf32>, %25: tensor<1x2x1xf32>, %26: tensor<1x1x1xf32>, %27: tensor<1x1x1xf32>, %28: tensor<1x2x2xf32>, %29: tensor<1x2x2xf32>):
// CHECK-NEXT:         %30 = proj.add %20, %21 : tensor<1x2x2xf32>, tensor<1x2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:         %31 = view.broadcast %23 [0, 2] : tensor<1x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:         %32, %33 = proj.respond "sum_relu" {axes = array<i64>}(%22, %31) demand %30 of "h" weight 1.000000e-03 samples [1, 1] : (tensor<1x2x2xf32>, tensor<1x2x2xf32>) demand tensor<1x2x2xf32> -> (tensor<1x2x2xf32>, tensor<1x2x2xf32>)
// CHECK-NEXT:         %34, %35 = proj.multipliers "dot" {} %22 demand %32 norms(%25, %24, %26, %27) of "z" weight 1.000000e-01 : tensor<1x2x2xf32> demand tensor<1x2x2xf32> norms(tensor<1x2x1xf32>, tensor<1x1x2xf32>, tensor<1x1x1xf32>, tensor<1x1x1xf32>) -> tensor<1x2x2xf32>, tensor<1x2x2xf32>
// CHECK-NEXT:         %36 = proj.respond_shared "dot" {}(%28, %29) by(%34, %35) operand 0 of "z" : tensor<1x2x2xf32>, tensor<1x2x2xf32> by tensor<1x2x2xf32>, tensor<1x2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:         %37 = proj.respond_shared "dot" {}(%28, %29) by(%34, %35) operand 1 of "z" : tensor<1x2x2xf32>, tensor<1x2x2xf32> by tensor<1x2x2xf32>, tensor<1x2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:         %38 = proj.collect %33 through <broadcast [1, 2, 2] [0, 2]> : tensor<1x2x2xf32> -> tensor<1x2xf32>
// CHECK-NEXT:         %39 = proj.bound "power" %36 samples [1, 1] to %32 samples [1, 1] : tensor<1x2x2xf32> to tensor<1x2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:         proj.next(%39) collect(%37, %38) : (tensor<1x2x2xf32>) collect(tensor<1x2x2xf32>, tensor<1x2xf32>)
// CHECK-NEXT:       }
// CHECK-NEXT:       %40 = proj.collect %19 through <reshape [1, 2, 2]> : tensor<1x2x2xf32> -> tensor<2x2xf32>
// CHECK-NEXT:       %41 = proj.datum "x" : tensor<2x2xf32>
// CHECK-NEXT:       %42 = proj.value "v" : tensor<2x2xf32>
// CHECK-NEXT:       %43, %44, %45, %46 = proj.norms "dot" {}(%41, %42) of "first" samples [0, 1] : tensor<2x2xf32>, tensor<2x2xf32> -> tensor<2x1xf32>, tensor<1x2xf32>, tensor<1x1xf32>, tensor<1x1xf32>
// CHECK-NEXT:       %47, %48 = proj.multipliers "dot" {} %11 demand %40 norms(%43, %44, %45, %46) of "first" weight 1.000000e-01 : tensor<2x2xf32> demand tensor<2x2xf32> norms(tensor<2x1xf32>, tensor<1x2xf32>, tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<2x2xf32>, tensor<2x2xf32>
// CHECK-NEXT:       %49 = proj.respond_shared "dot" {}(%41, %42) by(%47, %48) operand 1 of "first" : tensor<2x2xf32>, tensor<2x2xf32> by tensor<2x2xf32>, tensor<2x2xf32> -> tensor<2x2xf32>
// CHECK-NEXT:       %50 = proj.over_samples "mean" everywhere %18 : tensor<4x2xf32> -> tensor<4x2xf32>
// CHECK-NEXT:       proj.displace @b.slot %50 : tensor<4x2xf32>
// CHECK-NEXT:       %51 = proj.over_samples "mean" everywhere %17 : tensor<4x2x2xf32> -> tensor<4x2x2xf32>
// CHECK-NEXT:       proj.displace @w.slot %51 : tensor<4x2x2xf32>
// CHECK-NEXT:       %52 = proj.over_samples "mean" everywhere %49 : tensor<2x2xf32> -> tensor<2x2xf32>
// CHECK-NEXT:       proj.displace @v.slot %52 : tensor<2x2xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:   }
// CHECK-NEXT: }

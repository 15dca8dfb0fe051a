// RUN: pjc opt %s | filecheck %s

// Every op of proj, printed and parsed back.

proj.program @p parts ["A", "B"] dims {batch = 4 : i64} mesh <sample = 2, feature = 3, stack = 2> {
  proj.input "x" : tensor<4x3xf32>
  proj.input "tokens" rows 7 : tensor<4xi32>
  proj.target "y" classes 3 : tensor<4xi32>
  proj.target "several" threshold 0.5 : tensor<4x3xf32>
  proj.target "numbers" of "z" : tensor<4x3xf32>
  proj.variable @z.0 "copies" operand 0 of "z" sharded <[stack, sample], [feature]> : tensor<4x3xf32>
  proj.variable @loss.0 "copies" operand 0 of "loss" : tensor<4x3xf32>
  proj.variable @w.slot "slot" of "w" : tensor<3xf32>
  proj.forward {
    %w = op.parameter "w" <1.0 * he_normal> sharded <[feature]> : tensor<3xf32>
    %b = view.broadcast %w [1] : tensor<3xf32> -> tensor<4x3xf32>
    %z = proj.evaluate "sum_relu" {axes = array<i64>} %b of "z" : tensor<4x3xf32> -> tensor<4x3xf32>
    %k = op.constant 0.5 : tensor<1x3xf32>
    %zs = proj.for "t" 4 carries (%k) over (%z) : (tensor<1x3xf32>) over (tensor<4x3xf32>) -> (tensor<4x3xf32>) {
    ^body(%before : tensor<1x3xf32>, %now : tensor<1x3xf32>):
      %next = proj.evaluate "sum" {axes = array<i64>} %before, %now of "s" : tensor<1x3xf32>, tensor<1x3xf32> -> tensor<1x3xf32>
      proj.next (%next) collect (%next) : (tensor<1x3xf32>) collect (tensor<1x3xf32>)
    }
    op.output "zs" %zs : tensor<4x3xf32>
    op.output "z" %z : tensor<4x3xf32>
    proj.write %z to [#proj.path<@loss.0>] : tensor<4x3xf32>
    proj.write %w to [#proj.path<@w.slot>, #proj.path<@z.0 via broadcast [4, 3] [1]>] : tensor<3xf32>
  }
  proj.part "A" {
    %w = proj.gather "w" from [#proj.path<@z.0 via broadcast [4, 3] [1] for 4 group 1>] : tensor<3xf32>
    proj.write %w to [#proj.path<@w.slot>, #proj.path<@z.0 via broadcast [4, 3] [1]>] : tensor<3xf32>
    %c = proj.read @loss.0 : tensor<4x3xf32>
    %y = proj.datum "y" : tensor<4xi32>
    %n = proj.project_loss "margin" {low = 0.0 : f64, high = 1.0 : f64} (%c) given %y of "loss" : tensor<4x3xf32> given tensor<4xi32> -> tensor<4x3xf32>
    %s = proj.project_set "nonneg" {} (%n) of "s" : tensor<4x3xf32> -> tensor<4x3xf32>
    proj.write %s to [#proj.path<@loss.0>] : tensor<4x3xf32>
  }
  proj.constrain "levels" {levels = array<f64: -1.0, 1.0>, rate = 100.0 : f64} [#proj.path<@w.slot via slice [0] [2] [1]>] of "w.levels"
  proj.part "B" {
    %c = proj.read @z.0 : tensor<4x3xf32>
    %z = proj.gather "z" from [#proj.path<@loss.0>] : tensor<4x3xf32>
    %n, %v = proj.project "sum_relu" {axes = array<i64>} (%c) to %z of "z" : tensor<4x3xf32> to tensor<4x3xf32> -> tensor<4x3xf32> to tensor<4x3xf32>
    proj.write %n to [#proj.path<@z.0>] : tensor<4x3xf32>
    proj.write %v to [#proj.path<@loss.0>] : tensor<4x3xf32>
  }
  proj.iterate "dr" {
  ^bb0(%x : !proj.state):
    %a = proj.onto "A" %x
    %r = proj.combine [2.0, -1.0] %a, %x : !proj.state, !proj.state
    %b = proj.onto "B" %r
    %s = proj.combine [2.0, -1.0] %b, %r : !proj.state, !proj.state
    %n = proj.combine [0.5, 0.5] %x, %s : !proj.state, !proj.state
    proj.yield %n gap %b, %a
  }
}

proj.program @q parts ["A", "B"] dims {batch = 4 : i64} {
  proj.variable @a.1 "mean" operand 1 of "a" : tensor<3x2xf32>
  proj.variable @b.0 "mean" operand 0 of "b" : tensor<4x2xf32>
  proj.variable @b.1 "mean" operand 1 of "b" : tensor<2x5xf32>
  proj.variable @b.c "c" operand 0 of "b" : tensor<4x2xf32>
  proj.forward {
    %w = op.parameter "w" <1.0 * he_normal> : tensor<3x2xf32>
    proj.write %w to [#proj.path<@a.1>] : tensor<3x2xf32>
  }
  proj.part "A" {
    %w = proj.gather "w" from [#proj.path<@a.1>] : tensor<3x2xf32>
    proj.write %w to [#proj.path<@a.1>] : tensor<3x2xf32>
  }
  proj.part "B" {
    %x = proj.datum "x" : tensor<4x3xf32>
    %w = proj.read @a.1 : tensor<3x2xf32>
    %z = proj.gather "a" from [#proj.path<@b.0>] : tensor<4x2xf32>
    %v, %a = proj.project_shared "dot" {} (%x, %w) to %z of "a" wanted [1] : tensor<4x3xf32>, tensor<3x2xf32> to tensor<4x2xf32> -> tensor<3x2xf32> to tensor<4x2xf32>
    proj.write %v to [#proj.path<@a.1>] : tensor<3x2xf32>
    %h = proj.read @b.0 of given : tensor<4x2xf32>
    %u = proj.read @b.1 of given : tensor<2x5xf32>
    %c = proj.read @b.c : tensor<4x2xf32>
    %y = proj.datum "y" : tensor<4x5xf32>
    %m, %n, %f, %b = proj.project_halfway "dot" {} "factored" (%h, %u) factors ["c"] (%c) to %y of "b" wanted [0, 1] : tensor<4x2xf32>, tensor<2x5xf32> factors tensor<4x2xf32> to tensor<4x5xf32> -> tensor<4x2xf32>, tensor<2x5xf32> factors tensor<4x2xf32> to tensor<4x5xf32>
    proj.write %m beyond %h : tensor<4x2xf32> to [#proj.path<@b.0>] : tensor<4x2xf32>
    proj.write %n beyond %u : tensor<2x5xf32> to [#proj.path<@b.1>] : tensor<2x5xf32>
    proj.write %f to [#proj.path<@b.c>] : tensor<4x2xf32>
  }
  proj.iterate "rrr" {
  ^bb0(%x : !proj.state):
    %a = proj.onto "A" %x
    %r = proj.combine [2.0, -1.0] %a, %x : !proj.state, !proj.state
    %b = proj.onto "B" %r given %a
    %n = proj.combine [1.0, 1.0, -1.0] %b, %x, %a : !proj.state, !proj.state, !proj.state
    proj.yield %n gap %b, %a
  }
}

proj.program @r parts [] dims {batch = 2 : i64} {
  proj.input "x" : tensor<2x2xf32>
  proj.target "y" : tensor<2x2xf32>
  proj.variable @w.slot "slot" of "w" : tensor<2x2xf32>
  proj.variable @b.slot "slot" of "b" : tensor<2xf32>
  proj.forward {
    %x = proj.datum "x" : tensor<2x2xf32>
    %w = op.parameter "w" <1.0 * he_normal> : tensor<2x2xf32>
    %b = op.parameter "b" <1.0 * zeros> : tensor<2xf32>
    %h0 = op.constant 0.000000e+00 called "h0" : tensor<1x2x2xf32>
    %z, %h = proj.for "t" 3 carries(%h0) over() : (tensor<1x2x2xf32>) over() -> (tensor<6x2xf32>, tensor<3x2x2xf32>) {
    ^bb0(%0: tensor<1x2x2xf32>):
      %xs = view.broadcast %x [1, 2] : tensor<2x2xf32> -> tensor<1x2x2xf32>
      %flat = view.reshape %0 : tensor<1x2x2xf32> -> tensor<2x2xf32>
      %z_1 = proj.evaluate "dot" {} %flat, %w of "z" : tensor<2x2xf32>, tensor<2x2xf32> -> tensor<2x2xf32>
      %back = view.reshape %z_1 : tensor<2x2xf32> -> tensor<1x2x2xf32>
      %bs = view.broadcast %b [2] : tensor<2xf32> -> tensor<1x2x2xf32>
      %h_1 = proj.evaluate "sum_relu" {axes = array<i64>} %back, %xs, %bs of "h" : tensor<1x2x2xf32>, tensor<1x2x2xf32>, tensor<1x2x2xf32> -> tensor<1x2x2xf32>
      proj.next(%h_1) collect(%z_1, %h_1) : (tensor<1x2x2xf32>) collect(tensor<2x2xf32>, tensor<1x2x2xf32>)
    }
    %last = view.slice %h [2, 0, 0] [3, 2, 2] [1, 1, 1] : tensor<3x2x2xf32> -> tensor<1x2x2xf32>
    %out = view.reshape %last : tensor<1x2x2xf32> -> tensor<2x2xf32>
    op.output "out" %out : tensor<2x2xf32>
  }
  proj.constrain "nonneg" {} [#proj.path<@b.slot>] of "kept"
  proj.sweep "sweep" {
    %1 = proj.value "h" : tensor<3x2x2xf32>
    %s = proj.demand_in_set "nonneg" {} %1 of "kept" samples [1, 1] : tensor<3x2x2xf32> -> tensor<3x2x2xf32>
    %u = proj.over_samples "total" everywhere %s : tensor<3x2x2xf32> -> tensor<3x2x2xf32>
    %last_1 = view.slice %1 [2, 0, 0] [3, 2, 2] [1, 1, 1] : tensor<3x2x2xf32> -> tensor<1x2x2xf32>
    %out_1 = view.reshape %last_1 : tensor<1x2x2xf32> -> tensor<2x2xf32>
    %2 = proj.datum "y" : tensor<2x2xf32>
    %3 = proj.demand "squared_error" {strength = 1.000000e+00 : f64} %out_1 given %2 of "loss" samples [0, 1] : tensor<2x2xf32> given tensor<2x2xf32> -> tensor<2x2xf32>
    %4 = proj.collect %3 through <reshape [2, 2]> : tensor<2x2xf32> -> tensor<1x2x2xf32>
    %5 = proj.collect %4 through <slice [2, 0, 0] [3, 2, 2] [1, 1, 1]> : tensor<1x2x2xf32> -> tensor<3x2x2xf32>
    %6 = op.constant 0.000000e+00 : tensor<1x2x2xf32>
    %7 = proj.value "z" : tensor<6x2xf32>
    %back_1 = view.reshape %7 : tensor<6x2xf32> -> tensor<3x2x2xf32>
    %8 = proj.datum "x" : tensor<2x2xf32>
    %xs_1 = view.broadcast %8 [1, 2] : tensor<2x2xf32> -> tensor<3x2x2xf32>
    %9 = proj.value "b" : tensor<2xf32>
    %bs_1 = view.broadcast %9 [2] : tensor<2xf32> -> tensor<3x2x2xf32>
    %h0_1 = op.constant 0.000000e+00 called "h0" : tensor<1x2x2xf32>
    %before = view.shift %h0_1, %1 : tensor<1x2x2xf32>, tensor<3x2x2xf32> -> tensor<3x2x2xf32>
    %flat_1 = view.reshape %before : tensor<3x2x2xf32> -> tensor<6x2xf32>
    %10 = proj.value "w" : tensor<2x2xf32>
    %11, %12, %13, %14 = proj.norms "dot" {}(%flat_1, %10) of "z" samples [0, 1] steps 3 : tensor<6x2xf32>, tensor<2x2xf32> -> tensor<6x1xf32>, tensor<1x2xf32>, tensor<3x1xf32>, tensor<3x1xf32>
    %15, %16, %17, %left = proj.for "t" 3 reversed carries(%6) over(%5, %back_1, %xs_1, %bs_1, %7, %11, %13, %14, %flat_1) : (tensor<1x2x2xf32>) over(tensor<3x2x2xf32>, tensor<3x2x2xf32>, tensor<3x2x2xf32>, tensor<3x2x2xf32>, tensor<6x2xf32>, tensor<6x1xf32>, tensor<3x1xf32>, tensor<3x1xf32>, tensor<6x2xf32>) -> (tensor<3x2x2xf32>, tensor<6x2xf32>, tensor<6x2xf32>) leaving(tensor<1x2x2xf32>) {
    ^bb0(%18: tensor<1x2x2xf32>, %19: tensor<1x2x2xf32>, %20: tensor<1x2x2xf32>, %21: tensor<1x2x2xf32>, %22: tensor<1x2x2xf32>, %23: tensor<2x2xf32>, %24: tensor<2x1xf32>, %25: tensor<1x1xf32>, %26: tensor<1x1xf32>, %27: tensor<2x2xf32>):
      %28 = proj.add %18, %19 : tensor<1x2x2xf32>, tensor<1x2x2xf32> -> tensor<1x2x2xf32>
      %29, %30, %31 = proj.respond "sum_relu" {axes = array<i64>}(%20, %21, %22) demand %28 of "h" weight 1.000000e-03 samples [1, 1] : (tensor<1x2x2xf32>, tensor<1x2x2xf32>, tensor<1x2x2xf32>) demand tensor<1x2x2xf32> -> (tensor<1x2x2xf32>, tensor<1x2x2xf32>, tensor<1x2x2xf32>)
      %32 = proj.collect %29 through <reshape [1, 2, 2]> : tensor<1x2x2xf32> -> tensor<2x2xf32>
      %33, %34 = proj.multipliers "dot" {} %23 demand %32 norms(%24, %12, %25, %26) of "z" weight 1.000000e-01 : tensor<2x2xf32> demand tensor<2x2xf32> norms(tensor<2x1xf32>, tensor<1x2xf32>, tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<2x2xf32>, tensor<2x2xf32>
      %35 = proj.respond_shared "dot" {}(%27, %10) by(%33, %34) operand 0 of "z" : tensor<2x2xf32>, tensor<2x2xf32> by tensor<2x2xf32>, tensor<2x2xf32> -> tensor<2x2xf32>
      %36 = proj.collect %35 through <reshape [2, 2]> : tensor<2x2xf32> -> tensor<1x2x2xf32>
      %37 = proj.bound "power" %36 samples [1, 1] to %32 samples [0, 1] : tensor<1x2x2xf32> to tensor<2x2xf32> -> tensor<1x2x2xf32>
      proj.next(%37) collect(%31, %33, %34) : (tensor<1x2x2xf32>) collect(tensor<1x2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>)
    }
    %38 = proj.respond_shared "dot" {}(%flat_1, %10) by(%16, %17) operand 1 of "z" : tensor<6x2xf32>, tensor<2x2xf32> by tensor<6x2xf32>, tensor<6x2xf32> -> tensor<2x2xf32>
    %39 = proj.collect %15 through <broadcast [3, 2, 2] [2]> : tensor<3x2x2xf32> -> tensor<2xf32>
    %40 = proj.over_samples "mean" everywhere %39 : tensor<2xf32> -> tensor<2xf32>
    proj.displace @b.slot %40 : tensor<2xf32>
    %41 = proj.over_samples "mean" everywhere %38 : tensor<2x2xf32> -> tensor<2x2xf32>
    proj.displace @w.slot %41 : tensor<2x2xf32>
  }
}

proj.program @s parts [] dims {batch = 2 : i64} {
  proj.input "x" : tensor<2x3xf32>
  proj.target "y" : tensor<2x3xf32>
  proj.variable @b.slot "slot" of "b" : tensor<4x3xf32>
  proj.ring @x "data" 0 to 0 stages 1 length 10 : tensor<2x3xf32>
  proj.ring @y "data" 0 to 0 stages 1 length 5 : tensor<2x3xf32>
  proj.ring @i "values" 0 to 1 stages 4 length 9 : tensor<1x2x3xf32>
  proj.ring @i.asked "demands" 1 to 0 stages 4 length 1 : tensor<1x2x3xf32>
  proj.ring @i.end "values" 4 to 5 stages 1 length 1 : tensor<1x2x3xf32>
  proj.ring @i.end.asked "demands" 5 to 4 stages 1 length 1 : tensor<1x2x3xf32>
  proj.forward {
    %x = proj.datum "x" : tensor<2x3xf32>
    %first = view.reshape %x : tensor<2x3xf32> -> tensor<1x2x3xf32>
    %b = op.parameter "b" <1.0 * zeros> family 4 : tensor<4x3xf32>
    %rest = proj.for "i" 4 carries(%first) over(%b) : (tensor<1x2x3xf32>) over(tensor<4x3xf32>) -> (tensor<4x2x3xf32>) {
    ^bb0(%0: tensor<1x2x3xf32>, %1: tensor<1x3xf32>):
      %bs = view.broadcast %1 [0, 2] : tensor<1x3xf32> -> tensor<1x2x3xf32>
      %rest_1 = proj.evaluate "sum_relu" {axes = array<i64>} %0, %bs of "layer" : tensor<1x2x3xf32>, tensor<1x2x3xf32> -> tensor<1x2x3xf32>
      proj.next(%rest_1) collect(%rest_1) : (tensor<1x2x3xf32>) collect(tensor<1x2x3xf32>)
    }
    %last = view.slice %rest [3, 0, 0] [4, 2, 3] [1, 1, 1] : tensor<4x2x3xf32> -> tensor<1x2x3xf32>
    %out = view.reshape %last : tensor<1x2x3xf32> -> tensor<2x3xf32>
    op.output "out" %out : tensor<2x3xf32>
  }
  proj.stage "before" 0 stages 1 {
    proj.forward {
      %x_1 = proj.datum "x" : tensor<2x3xf32>
      %first_1 = view.reshape %x_1 : tensor<2x3xf32> -> tensor<1x2x3xf32>
      proj.hand %first_1 to @i : tensor<1x2x3xf32>
    }
    proj.sweep "stream" {
      %2 = proj.take @i.asked : tensor<1x2x3xf32>
    }
  }
  proj.stage "i" 1 stages 4 {
    proj.forward {
      %h = proj.take @i : tensor<1x2x3xf32>
      %b_1 = op.parameter "b" <1.0 * zeros> : tensor<1x3xf32>
      %bs_1 = view.broadcast %b_1 [0, 2] : tensor<1x3xf32> -> tensor<1x2x3xf32>
      %rest_2 = proj.evaluate "sum_relu" {axes = array<i64>} %h, %bs_1 of "layer" : tensor<1x2x3xf32>, tensor<1x2x3xf32> -> tensor<1x2x3xf32>
      proj.hand %rest_2 to @i : tensor<1x2x3xf32>
      proj.hand %rest_2 to @i.end : tensor<1x2x3xf32>
    }
    proj.sweep "stream" {
      %3 = proj.take @i.asked : tensor<1x2x3xf32>
      %4 = proj.take @i.end.asked : tensor<1x2x3xf32>
      %5 = proj.add %3, %4 : tensor<1x2x3xf32>, tensor<1x2x3xf32> -> tensor<1x2x3xf32>
      %6 = proj.take @i : tensor<1x2x3xf32>
      %7 = proj.value "b" : tensor<1x3xf32>
      %bs_2 = view.broadcast %7 [0, 2] : tensor<1x3xf32> -> tensor<1x2x3xf32>
      %8, %9 = proj.respond "sum_relu" {axes = array<i64>}(%6, %bs_2) demand %5 of "layer" weight 1.000000e-03 samples [1, 1] : (tensor<1x2x3xf32>, tensor<1x2x3xf32>) demand tensor<1x2x3xf32> -> (tensor<1x2x3xf32>, tensor<1x2x3xf32>)
      %10 = proj.collect %9 through <broadcast [1, 2, 3] [0, 2]> : tensor<1x2x3xf32> -> tensor<1x3xf32>
      %11 = proj.over_samples "mean" everywhere %10 : tensor<1x3xf32> -> tensor<1x3xf32>
      proj.displace @b.slot %11 : tensor<1x3xf32>
      proj.hand %8 to @i.asked : tensor<1x2x3xf32>
    }
  }
  proj.stage "behind" 5 stages 1 {
    proj.forward {
      %last_1 = proj.take @i.end : tensor<1x2x3xf32>
      %out_1 = view.reshape %last_1 : tensor<1x2x3xf32> -> tensor<2x3xf32>
    }
    proj.sweep "stream" {
      %12 = proj.take @i.end : tensor<1x2x3xf32>
      %out_2 = view.reshape %12 : tensor<1x2x3xf32> -> tensor<2x3xf32>
      %13 = proj.datum "y" : tensor<2x3xf32>
      %14 = proj.demand "squared_error" {strength = 1.000000e+00 : f64} %out_2 given %13 of "loss" samples [0, 1] : tensor<2x3xf32> given tensor<2x3xf32> -> tensor<2x3xf32>
      %15 = proj.collect %14 through <reshape [2, 3]> : tensor<2x3xf32> -> tensor<1x2x3xf32>
      proj.hand %15 to @i.end.asked : tensor<1x2x3xf32>
    }
  }
}

// CHECK: builtin.module {
// CHECK-NEXT:   proj.program @p parts ["A", "B"] dims {batch = 4 : i64} mesh <sample = 2, feature = 3, stack = 2> {
// CHECK-NEXT:     proj.input "x" : tensor<4x3xf32>
// CHECK-NEXT:     proj.input "tokens" rows 7 : tensor<4xi32>
// CHECK-NEXT:     proj.target "y" classes 3 : tensor<4xi32>
// CHECK-NEXT:     proj.target "several" threshold 5.000000e-01 : tensor<4x3xf32>
// CHECK-NEXT:     proj.target "numbers" of "z" : tensor<4x3xf32>
// CHECK-NEXT:     proj.variable @z.0 "copies" operand 0 of "z" sharded <[stack, sample], [feature]> : tensor<4x3xf32>
// CHECK-NEXT:     proj.variable @loss.0 "copies" operand 0 of "loss" : tensor<4x3xf32>
// CHECK-NEXT:     proj.variable @w.slot "slot" of "w" : tensor<3xf32>
// CHECK-NEXT:     proj.forward {
// CHECK-NEXT:       %w = op.parameter "w" <1.0 * he_normal> sharded <[feature]> : tensor<3xf32>
// CHECK-NEXT:       %b = view.broadcast %w [1] : tensor<3xf32> -> tensor<4x3xf32>
// CHECK-NEXT:       %z = proj.evaluate "sum_relu" {axes = array<i64>} %b of "z" : tensor<4x3xf32> -> tensor<4x3xf32>
// CHECK-NEXT:       %k = op.constant 5.000000e-01 : tensor<1x3xf32>
// CHECK-NEXT:       %zs = proj.for "t" 4 carries(%k) over(%z) : (tensor<1x3xf32>) over(tensor<4x3xf32>) -> (tensor<4x3xf32>) {
// CHECK-NEXT:       ^body(%before: tensor<1x3xf32>, %now: tensor<1x3xf32>):
// CHECK-NEXT:         %next = proj.evaluate "sum" {axes = array<i64>} %before, %now of "s" : tensor<1x3xf32>, tensor<1x3xf32> -> tensor<1x3xf32>
// CHECK-NEXT:         proj.next(%next) collect(%next) : (tensor<1x3xf32>) collect(tensor<1x3xf32>)
// CHECK-NEXT:       }
// CHECK-NEXT:       op.output "zs" %zs : tensor<4x3xf32>
// CHECK-NEXT:       op.output "z" %z : tensor<4x3xf32>
// CHECK-NEXT:       proj.write %z to [#proj.path<@loss.0>] : tensor<4x3xf32>
// CHECK-NEXT:       proj.write %w to [#proj.path<@w.slot>, #proj.path<@z.0 via broadcast [4, 3] [1]>] : tensor<3xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.part "A" {
// CHECK-NEXT:       %w_1 = proj.gather "w" from [#proj.path<@z.0 via broadcast [4, 3] [1] for 4 group 1>] : tensor<3xf32>
// CHECK-NEXT:       proj.write %w_1 to [#proj.path<@w.slot>, #proj.path<@z.0 via broadcast [4, 3] [1]>] : tensor<3xf32>
// CHECK-NEXT:       %c = proj.read @loss.0 : tensor<4x3xf32>
// CHECK-NEXT:       %y = proj.datum "y" : tensor<4xi32>
// CHECK-NEXT:       %n = proj.project_loss "margin" {low = 0.000000e+00 : f64, high = 1.000000e+00 : f64}(%c) given %y of "loss" : tensor<4x3xf32> given tensor<4xi32> -> tensor<4x3xf32>
// CHECK-NEXT:       %s = proj.project_set "nonneg" {}(%n) of "s" : tensor<4x3xf32> -> tensor<4x3xf32>
// CHECK-NEXT:       proj.write %s to [#proj.path<@loss.0>] : tensor<4x3xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.constrain "levels" {levels = array<f64: -1.000000e+00, 1.000000e+00>, rate = 1.000000e+02 : f64} [#proj.path<@w.slot via slice [0] [2] [1]>] of "w.levels"
// CHECK-NEXT:     proj.part "B" {
// CHECK-NEXT:       %c_1 = proj.read @z.0 : tensor<4x3xf32>
// CHECK-NEXT:       %z_1 = proj.gather "z" from [#proj.path<@loss.0>] : tensor<4x3xf32>
// CHECK-NEXT:       %n_1, %v = proj.project "sum_relu" {axes = array<i64>}(%c_1) to %z_1 of "z" : tensor<4x3xf32> to tensor<4x3xf32> -> tensor<4x3xf32> to tensor<4x3xf32>
// CHECK-NEXT:       proj.write %n_1 to [#proj.path<@z.0>] : tensor<4x3xf32>
// CHECK-NEXT:       proj.write %v to [#proj.path<@loss.0>] : tensor<4x3xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.iterate "dr" {
// CHECK-NEXT:     ^bb0(%x: !proj.state):
// CHECK-NEXT:       %a = proj.onto "A" %x
// CHECK-NEXT:       %r = proj.combine [2.000000e+00, -1.000000e+00] %a, %x : !proj.state, !proj.state
// CHECK-NEXT:       %b_1 = proj.onto "B" %r
// CHECK-NEXT:       %s_1 = proj.combine [2.000000e+00, -1.000000e+00] %b_1, %r : !proj.state, !proj.state
// CHECK-NEXT:       %n_2 = proj.combine [5.000000e-01, 5.000000e-01] %x, %s_1 : !proj.state, !proj.state
// CHECK-NEXT:       proj.yield %n_2 gap %b_1, %a
// CHECK-NEXT:     }
// CHECK-NEXT:   }
// CHECK-NEXT:   proj.program @q parts ["A", "B"] dims {batch = 4 : i64} {
// CHECK-NEXT:     proj.variable @a.1 "mean" operand 1 of "a" : tensor<3x2xf32>
// CHECK-NEXT:     proj.variable @b.0 "mean" operand 0 of "b" : tensor<4x2xf32>
// CHECK-NEXT:     proj.variable @b.1 "mean" operand 1 of "b" : tensor<2x5xf32>
// CHECK-NEXT:     proj.variable @b.c "c" operand 0 of "b" : tensor<4x2xf32>
// CHECK-NEXT:     proj.forward {
// CHECK-NEXT:       %w_2 = op.parameter "w" <1.0 * he_normal> : tensor<3x2xf32>
// CHECK-NEXT:       proj.write %w_2 to [#proj.path<@a.1>] : tensor<3x2xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.part "A" {
// CHECK-NEXT:       %w_3 = proj.gather "w" from [#proj.path<@a.1>] : tensor<3x2xf32>
// CHECK-NEXT:       proj.write %w_3 to [#proj.path<@a.1>] : tensor<3x2xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.part "B" {
// CHECK-NEXT:       %x_1 = proj.datum "x" : tensor<4x3xf32>
// CHECK-NEXT:       %w_4 = proj.read @a.1 : tensor<3x2xf32>
// CHECK-NEXT:       %z_2 = proj.gather "a" from [#proj.path<@b.0>] : tensor<4x2xf32>
// CHECK-NEXT:       %v_1, %a_1 = proj.project_shared "dot" {}(%x_1, %w_4) to %z_2 of "a" wanted [1] : tensor<4x3xf32>, tensor<3x2xf32> to tensor<4x2xf32> -> tensor<3x2xf32> to tensor<4x2xf32>
// CHECK-NEXT:       proj.write %v_1 to [#proj.path<@a.1>] : tensor<3x2xf32>
// CHECK-NEXT:       %h = proj.read @b.0 of given : tensor<4x2xf32>
// CHECK-NEXT:       %u = proj.read @b.1 of given : tensor<2x5xf32>
// CHECK-NEXT:       %c_2 = proj.read @b.c : tensor<4x2xf32>
// CHECK-NEXT:       %y_1 = proj.datum "y" : tensor<4x5xf32>
// CHECK-NEXT:       %m, %n_3, %f, %b_2 = proj.project_halfway "dot" {} "factored"(%h, %u) factors ["c"](%c_2) to %y_1 of "b" wanted [0, 1] : tensor<4x2xf32>, tensor<2x5xf32> factors tensor<4x2xf32> to tensor<4x5xf32> -> tensor<4x2xf32>, tensor<2x5xf32> factors tensor<4x2xf32> to tensor<4x5xf32>
// CHECK-NEXT:       proj.write %m beyond %h : tensor<4x2xf32> to [#proj.path<@b.0>] : tensor<4x2xf32>
// CHECK-NEXT:       proj.write %n_3 beyond %u : tensor<2x5xf32> to [#proj.path<@b.1>] : tensor<2x5xf32>
// CHECK-NEXT:       proj.write %f to [#proj.path<@b.c>] : tensor<4x2xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.iterate "rrr" {
// CHECK-NEXT:     ^bb0(%x_2: !proj.state):
// CHECK-NEXT:       %a_2 = proj.onto "A" %x_2
// CHECK-NEXT:       %r_1 = proj.combine [2.000000e+00, -1.000000e+00] %a_2, %x_2 : !proj.state, !proj.state
// CHECK-NEXT:       %b_3 = proj.onto "B" %r_1 given %a_2
// CHECK-NEXT:       %n_4 = proj.combine [1.000000e+00, 1.000000e+00, -1.000000e+00] %b_3, %x_2, %a_2 : !proj.state, !proj.state, !proj.state
// CHECK-NEXT:       proj.yield %n_4 gap %b_3, %a_2
// CHECK-NEXT:     }
// CHECK-NEXT:   }
// CHECK-NEXT:   proj.program @r parts [] dims {batch = 2 : i64} {
// CHECK-NEXT:     proj.input "x" : tensor<2x2xf32>
// CHECK-NEXT:     proj.target "y" : tensor<2x2xf32>
// CHECK-NEXT:     proj.variable @w.slot "slot" of "w" : tensor<2x2xf32>
// CHECK-NEXT:     proj.variable @b.slot "slot" of "b" : tensor<2xf32>
// CHECK-NEXT:     proj.forward {
// CHECK-NEXT:       %x_3 = proj.datum "x" : tensor<2x2xf32>
// CHECK-NEXT:       %w_5 = op.parameter "w" <1.0 * he_normal> : tensor<2x2xf32>
// CHECK-NEXT:       %b_4 = op.parameter "b" <1.0 * zeros> : tensor<2xf32>
// CHECK-NEXT:       %h0 = op.constant 0.000000e+00 called "h0" : tensor<1x2x2xf32>
// CHECK-NEXT:       %z_3, %h_1 = proj.for "t" 3 carries(%h0) over() : (tensor<1x2x2xf32>) over() -> (tensor<6x2xf32>, tensor<3x2x2xf32>) {
// CHECK-NEXT:       ^bb0(%0: tensor<1x2x2xf32>):
// CHECK-NEXT:         %xs = view.broadcast %x_3 [1, 2] : tensor<2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:         %flat = view.reshape %0 : tensor<1x2x2xf32> -> tensor<2x2xf32>
// CHECK-NEXT:         %z_4 = proj.evaluate "dot" {} %flat, %w_5 of "z" : tensor<2x2xf32>, tensor<2x2xf32> -> tensor<2x2xf32>
// CHECK-NEXT:         %back = view.reshape %z_4 : tensor<2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:         %bs = view.broadcast %b_4 [2] : tensor<2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:         %h_2 = proj.evaluate "sum_relu" {axes = array<i64>} %back, %xs, %bs of "h" : tensor<1x2x2xf32>, tensor<1x2x2xf32>, tensor<1x2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:         proj.next(%h_2) collect(%z_4, %h_2) : (tensor<1x2x2xf32>) collect(tensor<2x2xf32>, tensor<1x2x2xf32>)
// CHECK-NEXT:       }
// CHECK-NEXT:       %last = view.slice %h_1 [2, 0, 0] [3, 2, 2] [1, 1, 1] : tensor<3x2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:       %out = view.reshape %last : tensor<1x2x2xf32> -> tensor<2x2xf32>
// CHECK-NEXT:       op.output "out" %out : tensor<2x2xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.constrain "nonneg" {} [#proj.path<@b.slot>] of "kept"
// CHECK-NEXT:     proj.sweep "sweep" {
// CHECK-NEXT:       %1 = proj.value "h" : tensor<3x2x2xf32>
// CHECK-NEXT:       %s_2 = proj.demand_in_set "nonneg" {} %1 of "kept" samples [1, 1] : tensor<3x2x2xf32> -> tensor<3x2x2xf32>
// CHECK-NEXT:       %u_1 = proj.over_samples "total" everywhere %s_2 : tensor<3x2x2xf32> -> tensor<3x2x2xf32>
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
// CHECK-NEXT:       %before_1 = view.shift %h0_1, %1 : tensor<1x2x2xf32>, tensor<3x2x2xf32> -> tensor<3x2x2xf32>
// CHECK-NEXT:       %flat_1 = view.reshape %before_1 : tensor<3x2x2xf32> -> tensor<6x2xf32>
// CHECK-NEXT:       %10 = proj.value "w" : tensor<2x2xf32>
// CHECK-NEXT:       %11, %12, %13, %14 = proj.norms "dot" {}(%flat_1, %10) of "z" samples [0, 1] steps 3 : tensor<6x2xf32>, tensor<2x2xf32> -> tensor<6x1xf32>, tensor<1x2xf32>, tensor<3x1xf32>, tensor<3x1xf32>
// CHECK-NEXT:       %15, %16, %17, %left = proj.for "t" 3 reversed carries(%6) over(%5, %back_1, %xs_1, %bs_1, %7, %11, %13, %14, %flat_1) : (tensor<1x2x2xf32>) over(tensor<3x2x2xf32>, tensor<3x2x2xf32>, tensor<3x2x2xf32>, tensor<3x2x2xf32>, tensor<6x2xf32>, tensor<6x1xf32>, tensor<3x1xf32>, tensor<3x1xf32>, tensor<6x2xf32>) -> (tensor<3x2x2xf32>, tensor<6x2xf32>, tensor<6x2xf32>) leaving(tensor<1x2x2xf32>) {
// CHECK-NEXT:       ^bb0(%18: tensor<1x2x2xf32>, %19: tensor<1x2x2xf32>, %20: tensor<1x2x2xf32>, %21: tensor<1x2x2xf32>, %22: tensor<1x2x2xf32>, %23: tensor<2x2xf32>, %24: tensor<2x1xf32>, %25: tensor<1x1xf32>, %26: tensor<1x1xf32>, %27: tensor<2x2xf32>):
// CHECK-NEXT:         %28 = proj.add %18, %19 : tensor<1x2x2xf32>, tensor<1x2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:         %29, %30, %31 = proj.respond "sum_relu" {axes = array<i64>}(%20, %21, %22) demand %28 of "h" weight 1.000000e-03 samples [1, 1] : (tensor<1x2x2xf32>, tensor<1x2x2xf32>, tensor<1x2x2xf32>) demand tensor<1x2x2xf32> -> (tensor<1x2x2xf32>, tensor<1x2x2xf32>, tensor<1x2x2xf32>)
// CHECK-NEXT:         %32 = proj.collect %29 through <reshape [1, 2, 2]> : tensor<1x2x2xf32> -> tensor<2x2xf32>
// CHECK-NEXT:         %33, %34 = proj.multipliers "dot" {} %23 demand %32 norms(%24, %12, %25, %26) of "z" weight 1.000000e-01 : tensor<2x2xf32> demand tensor<2x2xf32> norms(tensor<2x1xf32>, tensor<1x2xf32>, tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<2x2xf32>, tensor<2x2xf32>
// CHECK-NEXT:         %35 = proj.respond_shared "dot" {}(%27, %10) by(%33, %34) operand 0 of "z" : tensor<2x2xf32>, tensor<2x2xf32> by tensor<2x2xf32>, tensor<2x2xf32> -> tensor<2x2xf32>
// CHECK-NEXT:         %36 = proj.collect %35 through <reshape [2, 2]> : tensor<2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:         %37 = proj.bound "power" %36 samples [1, 1] to %32 samples [0, 1] : tensor<1x2x2xf32> to tensor<2x2xf32> -> tensor<1x2x2xf32>
// CHECK-NEXT:         proj.next(%37) collect(%31, %33, %34) : (tensor<1x2x2xf32>) collect(tensor<1x2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>)
// CHECK-NEXT:       }
// CHECK-NEXT:       %38 = proj.respond_shared "dot" {}(%flat_1, %10) by(%16, %17) operand 1 of "z" : tensor<6x2xf32>, tensor<2x2xf32> by tensor<6x2xf32>, tensor<6x2xf32> -> tensor<2x2xf32>
// CHECK-NEXT:       %39 = proj.collect %15 through <broadcast [3, 2, 2] [2]> : tensor<3x2x2xf32> -> tensor<2xf32>
// CHECK-NEXT:       %40 = proj.over_samples "mean" everywhere %39 : tensor<2xf32> -> tensor<2xf32>
// CHECK-NEXT:       proj.displace @b.slot %40 : tensor<2xf32>
// CHECK-NEXT:       %41 = proj.over_samples "mean" everywhere %38 : tensor<2x2xf32> -> tensor<2x2xf32>
// CHECK-NEXT:       proj.displace @w.slot %41 : tensor<2x2xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:   }
// CHECK-NEXT:   proj.program @s parts [] dims {batch = 2 : i64} {
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
// CHECK-NEXT:       %x_4 = proj.datum "x" : tensor<2x3xf32>
// CHECK-NEXT:       %first = view.reshape %x_4 : tensor<2x3xf32> -> tensor<1x2x3xf32>
// CHECK-NEXT:       %b_5 = op.parameter "b" <1.0 * zeros> family 4 : tensor<4x3xf32>
// CHECK-NEXT:       %rest = proj.for "i" 4 carries(%first) over(%b_5) : (tensor<1x2x3xf32>) over(tensor<4x3xf32>) -> (tensor<4x2x3xf32>) {
// CHECK-NEXT:       ^bb0(%42: tensor<1x2x3xf32>, %43: tensor<1x3xf32>):
// CHECK-NEXT:         %bs_2 = view.broadcast %43 [0, 2] : tensor<1x3xf32> -> tensor<1x2x3xf32>
// CHECK-NEXT:         %rest_1 = proj.evaluate "sum_relu" {axes = array<i64>} %42, %bs_2 of "layer" : tensor<1x2x3xf32>, tensor<1x2x3xf32> -> tensor<1x2x3xf32>
// CHECK-NEXT:         proj.next(%rest_1) collect(%rest_1) : (tensor<1x2x3xf32>) collect(tensor<1x2x3xf32>)
// CHECK-NEXT:       }
// CHECK-NEXT:       %last_2 = view.slice %rest [3, 0, 0] [4, 2, 3] [1, 1, 1] : tensor<4x2x3xf32> -> tensor<1x2x3xf32>
// CHECK-NEXT:       %out_2 = view.reshape %last_2 : tensor<1x2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:       op.output "out" %out_2 : tensor<2x3xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.stage "before" 0 stages 1 {
// CHECK-NEXT:       proj.forward {
// CHECK-NEXT:         %x_5 = proj.datum "x" : tensor<2x3xf32>
// CHECK-NEXT:         %first_1 = view.reshape %x_5 : tensor<2x3xf32> -> tensor<1x2x3xf32>
// CHECK-NEXT:         proj.hand %first_1 to @i : tensor<1x2x3xf32>
// CHECK-NEXT:       }
// CHECK-NEXT:       proj.sweep "stream" {
// CHECK-NEXT:         %44 = proj.take @i.asked : tensor<1x2x3xf32>
// CHECK-NEXT:       }
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.stage "i" 1 stages 4 {
// CHECK-NEXT:       proj.forward {
// CHECK-NEXT:         %h_3 = proj.take @i : tensor<1x2x3xf32>
// CHECK-NEXT:         %b_6 = op.parameter "b" <1.0 * zeros> : tensor<1x3xf32>
// CHECK-NEXT:         %bs_3 = view.broadcast %b_6 [0, 2] : tensor<1x3xf32> -> tensor<1x2x3xf32>
// CHECK-NEXT:         %rest_2 = proj.evaluate "sum_relu" {axes = array<i64>} %h_3, %bs_3 of "layer" : tensor<1x2x3xf32>, tensor<1x2x3xf32> -> tensor<1x2x3xf32>
// CHECK-NEXT:         proj.hand %rest_2 to @i : tensor<1x2x3xf32>
// CHECK-NEXT:         proj.hand %rest_2 to @i.end : tensor<1x2x3xf32>
// CHECK-NEXT:       }
// CHECK-NEXT:       proj.sweep "stream" {
// CHECK-NEXT:         %45 = proj.take @i.asked : tensor<1x2x3xf32>
// CHECK-NEXT:         %46 = proj.take @i.end.asked : tensor<1x2x3xf32>
// CHECK-NEXT:         %47 = proj.add %45, %46 : tensor<1x2x3xf32>, tensor<1x2x3xf32> -> tensor<1x2x3xf32>
// CHECK-NEXT:         %48 = proj.take @i : tensor<1x2x3xf32>
// CHECK-NEXT:         %49 = proj.value "b" : tensor<1x3xf32>
// CHECK-NEXT:         %bs_4 = view.broadcast %49 [0, 2] : tensor<1x3xf32> -> tensor<1x2x3xf32>
// CHECK-NEXT:         %50, %51 = proj.respond "sum_relu" {axes = array<i64>}(%48, %bs_4) demand %47 of "layer" weight 1.000000e-03 samples [1, 1] : (tensor<1x2x3xf32>, tensor<1x2x3xf32>) demand tensor<1x2x3xf32> -> (tensor<1x2x3xf32>, tensor<1x2x3xf32>)
// CHECK-NEXT:         %52 = proj.collect %51 through <broadcast [1, 2, 3] [0, 2]> : tensor<1x2x3xf32> -> tensor<1x3xf32>
// CHECK-NEXT:         %53 = proj.over_samples "mean" everywhere %52 : tensor<1x3xf32> -> tensor<1x3xf32>
// CHECK-NEXT:         proj.displace @b.slot %53 : tensor<1x3xf32>
// CHECK-NEXT:         proj.hand %50 to @i.asked : tensor<1x2x3xf32>
// CHECK-NEXT:       }
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.stage "behind" 5 stages 1 {
// CHECK-NEXT:       proj.forward {
// CHECK-NEXT:         %last_3 = proj.take @i.end : tensor<1x2x3xf32>
// CHECK-NEXT:         %out_3 = view.reshape %last_3 : tensor<1x2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:       }
// CHECK-NEXT:       proj.sweep "stream" {
// CHECK-NEXT:         %54 = proj.take @i.end : tensor<1x2x3xf32>
// CHECK-NEXT:         %out_4 = view.reshape %54 : tensor<1x2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:         %55 = proj.datum "y" : tensor<2x3xf32>
// CHECK-NEXT:         %56 = proj.demand "squared_error" {strength = 1.000000e+00 : f64} %out_4 given %55 of "loss" samples [0, 1] : tensor<2x3xf32> given tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:         %57 = proj.collect %56 through <reshape [2, 3]> : tensor<2x3xf32> -> tensor<1x2x3xf32>
// CHECK-NEXT:         proj.hand %57 to @i.end.asked : tensor<1x2x3xf32>
// CHECK-NEXT:       }
// CHECK-NEXT:     }
// CHECK-NEXT:   }
// CHECK-NEXT: }

// RUN: pjc opt %s | filecheck %s

// Every op of proj, printed and parsed back.

proj.program @p parts ["A", "B"] dims {batch = 4 : i64} mesh <sample = 2, feature = 3, stack = 2> {
  proj.input "x" : tensor<4x3xf32>
  proj.input "tokens" rows 7 : tensor<4xi32>
  proj.target "y" classes 3 : tensor<4xi32>
  proj.target "several" threshold 0.5 : tensor<4x3xf32>
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

// CHECK: builtin.module {
// CHECK-NEXT:   proj.program @p parts ["A", "B"] dims {batch = 4 : i64} mesh <sample = 2, feature = 3, stack = 2> {
// CHECK-NEXT:     proj.input "x" : tensor<4x3xf32>
// CHECK-NEXT:     proj.input "tokens" rows 7 : tensor<4xi32>
// CHECK-NEXT:     proj.target "y" classes 3 : tensor<4xi32>
// CHECK-NEXT:     proj.target "several" threshold 5.000000e-01 : tensor<4x3xf32>
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
// CHECK-NEXT: }

// RUN: pjc opt %s -p 'net-canonicalize,net-to-feas,feas-bipartition,feas-to-proj{solver=ap}' | filecheck %s

// A loop takes rows by number: the gather moves above it, and each of its nodes reads rows of its own choice.

net.network @n dims {batch = 4 : i64} {
  %t = op.index "tokens" ["batch", "2"] : tensor<4x2xi32>
  %y = op.target "y" ["batch"] classes 3 : tensor<4xi32>
  %w = op.parameter "table" <1.0 * normal(1.0)> : tensor<7x3xf32>
  %h0 = op.constant 0.0 : tensor<4x3xf32>
  %h = net.for "t" 2 carries (%h0) : (tensor<4x3xf32>) -> (tensor<4x3xf32>) collects () {
  ^body(%before : tensor<4x3xf32>):
    %now = net.at %t axis 1 first 0 step 1 : tensor<4x2xi32> -> tensor<4xi32>
    %rows = view.gather %w at %now : tensor<7x3xf32>, tensor<4xi32> -> tensor<4x3xf32>
    %next = op.sum_relu %before, %rows axes [] : tensor<4x3xf32>, tensor<4x3xf32> -> tensor<4x3xf32>
    %z = op.identity %next : tensor<4x3xf32> -> tensor<4x3xf32>
    net.yield (%z) collect () : (tensor<4x3xf32>) collect ()
  }
  op.margin %h, %y in [0.0, 1.0] : tensor<4x3xf32>, tensor<4xi32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   proj.program @n parts ["A", "B"] dims {batch = 4 : i64} {
// CHECK-NEXT:     proj.input "tokens" rows 7 : tensor<4x2xi32>
// CHECK-NEXT:     proj.target "y" classes 3 : tensor<4xi32>
// CHECK-NEXT:     proj.variable @table.slot "slot" of "table" : tensor<7x3xf32>
// CHECK-NEXT:     proj.variable @sum_relu.0 "copies" operand 0 of "sum_relu" : tensor<2x4x3xf32>
// CHECK-NEXT:     proj.variable @sum_relu.1 "copies" operand 1 of "sum_relu" : tensor<2x4x3xf32>
// CHECK-NEXT:     proj.variable @identity.0 "copies" operand 0 of "identity" : tensor<2x4x3xf32>
// CHECK-NEXT:     proj.variable @margin.0 "copies" operand 0 of "margin" : tensor<4x3xf32>
// CHECK-NEXT:     proj.forward {
// CHECK-NEXT:       %t = proj.datum "tokens" : tensor<4x2xi32>
// CHECK-NEXT:       %w = op.parameter "table" <1.0 * normal(1.0)> : tensor<7x3xf32>
// CHECK-NEXT:       %h0 = op.constant 0.000000e+00 called "constant" : tensor<4x3xf32>
// CHECK-NEXT:       %0 = view.gather %w at %t : tensor<7x3xf32>, tensor<4x2xi32> -> tensor<4x2x3xf32>
// CHECK-NEXT:       %1 = view.reshape %h0 : tensor<4x3xf32> -> tensor<1x4x3xf32>
// CHECK-NEXT:       %rows = view.transpose %0 [1, 0, 2] : tensor<4x2x3xf32> -> tensor<2x4x3xf32>
// CHECK-NEXT:       %next, %z = proj.for "t" 2 carries(%1) over(%rows) : (tensor<1x4x3xf32>) over(tensor<2x4x3xf32>) -> (tensor<2x4x3xf32>, tensor<2x4x3xf32>) {
// CHECK-NEXT:       ^bb0(%2: tensor<1x4x3xf32>, %3: tensor<1x4x3xf32>):
// CHECK-NEXT:         %next_1 = proj.evaluate "sum_relu" {axes = array<i64>} %2, %3 of "sum_relu" : tensor<1x4x3xf32>, tensor<1x4x3xf32> -> tensor<1x4x3xf32>
// CHECK-NEXT:         %z_1 = proj.evaluate "identity" {} %next_1 of "identity" : tensor<1x4x3xf32> -> tensor<1x4x3xf32>
// CHECK-NEXT:         proj.next(%z_1) collect(%next_1, %z_1) : (tensor<1x4x3xf32>) collect(tensor<1x4x3xf32>, tensor<1x4x3xf32>)
// CHECK-NEXT:       }
// CHECK-NEXT:       %4 = view.slice %z [1, 0, 0] [2, 4, 3] [1, 1, 1] : tensor<2x4x3xf32> -> tensor<1x4x3xf32>
// CHECK-NEXT:       %5 = view.reshape %4 : tensor<1x4x3xf32> -> tensor<4x3xf32>
// CHECK-NEXT:       proj.write %w to [#proj.path<@sum_relu.1 via gather "tokens" [4, 2] then transpose [1, 0, 2] for 2 apart>] : tensor<7x3xf32>
// CHECK-NEXT:       proj.write %w to [#proj.path<@table.slot>] : tensor<7x3xf32>
// CHECK-NEXT:       proj.write %h0 to [#proj.path<@sum_relu.0 via reshape [1, 4, 3] then place [0, 0, 2]>] : tensor<4x3xf32>
// CHECK-NEXT:       proj.write %next to [#proj.path<@identity.0>] : tensor<2x4x3xf32>
// CHECK-NEXT:       proj.write %z to [#proj.path<@sum_relu.0 via shift [1]>, #proj.path<@margin.0 via slice [1, 0, 0] [2, 4, 3] [1, 1, 1] then reshape [4, 3]>] : tensor<2x4x3xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.part "A" {
// CHECK-NEXT:       %6 = proj.read @sum_relu.0 : tensor<2x4x3xf32>
// CHECK-NEXT:       %7 = proj.read @sum_relu.1 : tensor<2x4x3xf32>
// CHECK-NEXT:       %8 = proj.gather "sum_relu" from [#proj.path<@identity.0>] : tensor<2x4x3xf32>
// CHECK-NEXT:       %9, %10, %11 = proj.project "sum_relu" {axes = array<i64>}(%6, %7) to %8 of "sum_relu" : tensor<2x4x3xf32>, tensor<2x4x3xf32> to tensor<2x4x3xf32> -> tensor<2x4x3xf32>, tensor<2x4x3xf32> to tensor<2x4x3xf32>
// CHECK-NEXT:       proj.write %9 to [#proj.path<@sum_relu.0>] : tensor<2x4x3xf32>
// CHECK-NEXT:       proj.write %10 to [#proj.path<@sum_relu.1>] : tensor<2x4x3xf32>
// CHECK-NEXT:       proj.write %11 to [#proj.path<@identity.0>] : tensor<2x4x3xf32>
// CHECK-NEXT:       %12 = proj.read @margin.0 : tensor<4x3xf32>
// CHECK-NEXT:       %13 = proj.datum "y" : tensor<4xi32>
// CHECK-NEXT:       %14 = proj.project_loss "margin" {low = 0.000000e+00 : f64, high = 1.000000e+00 : f64}(%12) given %13 of "margin" : tensor<4x3xf32> given tensor<4xi32> -> tensor<4x3xf32>
// CHECK-NEXT:       proj.write %14 to [#proj.path<@margin.0>] : tensor<4x3xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.part "B" {
// CHECK-NEXT:       %15 = proj.gather "table" from [#proj.path<@sum_relu.1 via gather "tokens" [4, 2] then transpose [1, 0, 2] for 2 apart>] : tensor<7x3xf32>
// CHECK-NEXT:       proj.write %15 to [#proj.path<@table.slot>, #proj.path<@sum_relu.1 via gather "tokens" [4, 2] then transpose [1, 0, 2] for 2 apart>] : tensor<7x3xf32>
// CHECK-NEXT:       %16 = op.constant 0.000000e+00 called "constant" : tensor<4x3xf32>
// CHECK-NEXT:       proj.write %16 to [#proj.path<@sum_relu.0 via reshape [1, 4, 3] then place [0, 0, 2]>] : tensor<4x3xf32>
// CHECK-NEXT:       %17 = proj.read @identity.0 : tensor<2x4x3xf32>
// CHECK-NEXT:       %18 = proj.gather "identity" from [#proj.path<@sum_relu.0 via shift [1]>, #proj.path<@margin.0 via slice [1, 0, 0] [2, 4, 3] [1, 1, 1] then reshape [4, 3]>] : tensor<2x4x3xf32>
// CHECK-NEXT:       %19, %20 = proj.project "identity" {}(%17) to %18 of "identity" : tensor<2x4x3xf32> to tensor<2x4x3xf32> -> tensor<2x4x3xf32> to tensor<2x4x3xf32>
// CHECK-NEXT:       proj.write %19 to [#proj.path<@identity.0>] : tensor<2x4x3xf32>
// CHECK-NEXT:       proj.write %20 to [#proj.path<@sum_relu.0 via shift [1]>, #proj.path<@margin.0 via slice [1, 0, 0] [2, 4, 3] [1, 1, 1] then reshape [4, 3]>] : tensor<2x4x3xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.iterate "ap" {
// CHECK-NEXT:     ^bb0(%21: !proj.state):
// CHECK-NEXT:       %22 = proj.onto "A" %21
// CHECK-NEXT:       %23 = proj.onto "B" %22
// CHECK-NEXT:       proj.yield %23 gap %23, %22
// CHECK-NEXT:     }
// CHECK-NEXT:   }
// CHECK-NEXT: }

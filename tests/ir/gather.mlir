// RUN: pjc opt %s -p 'net-canonicalize,net-to-feas,feas-bipartition,feas-to-proj{solver=ap}' | filecheck %s

// Rows of a table by number: the views of the indices move behind the gather, and its step is in the paths.

net.network @n dims {batch = 4 : i64} {
  %t = op.index "tokens" ["batch", "5"] : tensor<4x5xi32>
  %y = op.target "y" ["5"] classes 3 : tensor<5xi32>
  %w = op.parameter "table" <1.0 * normal(1.0)> : tensor<7x3xf32>
  %0 = view.slice %t [1, 0] [2, 5] [1, 1] : tensor<4x5xi32> -> tensor<1x5xi32>
  %1 = view.reshape %0 : tensor<1x5xi32> -> tensor<5xi32>
  %z = view.gather %w at %1 : tensor<7x3xf32>, tensor<5xi32> -> tensor<5x3xf32>
  op.margin %z, %y in [0.0, 1.0] : tensor<5x3xf32>, tensor<5xi32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   proj.program @n parts ["A", "B"] dims {batch = 4 : i64} {
// CHECK-NEXT:     proj.input "tokens" rows 7 : tensor<4x5xi32>
// CHECK-NEXT:     proj.target "y" classes 3 : tensor<5xi32>
// CHECK-NEXT:     proj.variable @table.slot "slot" of "table" : tensor<7x3xf32>
// CHECK-NEXT:     proj.variable @margin.0 "copies" operand 0 of "margin" : tensor<5x3xf32>
// CHECK-NEXT:     proj.forward {
// CHECK-NEXT:       %t = proj.datum "tokens" : tensor<4x5xi32>
// CHECK-NEXT:       %w = op.parameter "table" <1.0 * normal(1.0)> : tensor<7x3xf32>
// CHECK-NEXT:       %z = view.gather %w at %t : tensor<7x3xf32>, tensor<4x5xi32> -> tensor<4x5x3xf32>
// CHECK-NEXT:       %z_1 = view.slice %z [1, 0, 0] [2, 5, 3] [1, 1, 1] : tensor<4x5x3xf32> -> tensor<1x5x3xf32>
// CHECK-NEXT:       %z_2 = view.reshape %z_1 : tensor<1x5x3xf32> -> tensor<5x3xf32>
// CHECK-NEXT:       proj.write %w to [#proj.path<@margin.0 via gather "tokens" [4, 5] then slice [1, 0, 0] [2, 5, 3] [1, 1, 1] then reshape [5, 3]>] : tensor<7x3xf32>
// CHECK-NEXT:       proj.write %w to [#proj.path<@table.slot>] : tensor<7x3xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.part "A" {
// CHECK-NEXT:       %0 = proj.read @margin.0 : tensor<5x3xf32>
// CHECK-NEXT:       %1 = proj.datum "y" : tensor<5xi32>
// CHECK-NEXT:       %2 = proj.project_loss "margin" {low = 0.000000e+00 : f64, high = 1.000000e+00 : f64}(%0) given %1 of "margin" : tensor<5x3xf32> given tensor<5xi32> -> tensor<5x3xf32>
// CHECK-NEXT:       proj.write %2 to [#proj.path<@margin.0>] : tensor<5x3xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.part "B" {
// CHECK-NEXT:       %3 = proj.gather "table" from [#proj.path<@margin.0 via gather "tokens" [4, 5] then slice [1, 0, 0] [2, 5, 3] [1, 1, 1] then reshape [5, 3]>] : tensor<7x3xf32>
// CHECK-NEXT:       proj.write %3 to [#proj.path<@table.slot>, #proj.path<@margin.0 via gather "tokens" [4, 5] then slice [1, 0, 0] [2, 5, 3] [1, 1, 1] then reshape [5, 3]>] : tensor<7x3xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     proj.iterate "ap" {
// CHECK-NEXT:     ^bb0(%4: !proj.state):
// CHECK-NEXT:       %5 = proj.onto "A" %4
// CHECK-NEXT:       %6 = proj.onto "B" %5
// CHECK-NEXT:       proj.yield %6 gap %6, %5
// CHECK-NEXT:     }
// CHECK-NEXT:   }
// CHECK-NEXT: }

// RUN: pjc opt %s | filecheck %s

// A mesh, and the axes of it that split tensors, printed and parsed back.

proj.program @p parts [] dims {batch = 4 : i64} mesh <sample = 2, feature = 3, stack = 1> {
  proj.variable @w.slot "slot" of "w" sharded <[], [feature]> : tensor<2x3xf32>
  proj.forward {
    %x = proj.datum "x" sharded <[sample], []> : tensor<4x2xf32>
    %w = op.parameter "w" <1.0 * zeros> sharded <[], [feature]> : tensor<2x3xf32>
    proj.write %w to [#proj.path<@w.slot>] : tensor<2x3xf32>
  }
}

"test.op"() {mesh = #layout.mesh<sample = 1, feature = 1, stack = 2>, sharding = #layout.sharding<[stack, sample], []>} : () -> ()

// CHECK: builtin.module {
// CHECK-NEXT:   proj.program @p parts [] dims {batch = 4 : i64} mesh <sample = 2, feature = 3, stack = 1> {
// CHECK-NEXT:     proj.variable @w.slot "slot" of "w" sharded <[], [feature]> : tensor<2x3xf32>
// CHECK-NEXT:     proj.forward {
// CHECK-NEXT:       %x = proj.datum "x" sharded <[sample], []> : tensor<4x2xf32>
// CHECK-NEXT:       %w = op.parameter "w" <1.0 * zeros> sharded <[], [feature]> : tensor<2x3xf32>
// CHECK-NEXT:       proj.write %w to [#proj.path<@w.slot>] : tensor<2x3xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:   }
// CHECK-NEXT:   "test.op"() {mesh = #layout.mesh<sample = 1, feature = 1, stack = 2>, sharding = #layout.sharding<[stack, sample], []>} : () -> ()
// CHECK-NEXT: }

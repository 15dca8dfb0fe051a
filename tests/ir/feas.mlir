// RUN: pjc opt %s | filecheck %s

// A problem without parts and one with, and the loop of a family, printed and parsed back.

feas.problem @whole dims {batch = 8 : i64} {
  %x = op.input "x" : tensor<8x4xf32>
  op.output "x" %x : tensor<8x4xf32>
}

feas.problem @parted dims {} parts ["A", "B"] {
  %f = op.parameter "f" <1.0 * zeros> family 2 part "A" : tensor<2x3xf32>
  %n = op.identity "n" %f part "B" {loop = #feas.loop<"t" 2>} : tensor<2x3xf32> -> tensor<2x3xf32>
  op.output "n" %n : tensor<2x3xf32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   feas.problem @whole dims {batch = 8 : i64} {
// CHECK-NEXT:     %x = op.input "x" : tensor<8x4xf32>
// CHECK-NEXT:     op.output "x" %x : tensor<8x4xf32>
// CHECK-NEXT:   }
// CHECK-NEXT:   feas.problem @parted dims {} parts ["A", "B"] {
// CHECK-NEXT:     %f = op.parameter "f" <1.0 * zeros> family 2 part "A" : tensor<2x3xf32>
// CHECK-NEXT:     %n = op.identity "n" %f part "B" {loop = #feas.loop<"t" 2>} : tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:     op.output "n" %n : tensor<2x3xf32>
// CHECK-NEXT:   }
// CHECK-NEXT: }

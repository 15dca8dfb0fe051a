// RUN: pjc opt %s -p net-canonicalize | filecheck %s

// A view of a view is one view, a view that does nothing is none, equal operations are one, dead ones go.
// Views of indices move behind the gather that reads them, windows too.

net.network @n dims {} {
  %x = op.input "x" ["2", "6"] : tensor<2x6xf32>
  %0 = view.reshape %x : tensor<2x6xf32> -> tensor<12xf32>
  %1 = view.reshape %0 : tensor<12xf32> -> tensor<3x4xf32>
  op.output "reshape" %1 : tensor<3x4xf32>
  %2 = view.transpose %x [1, 0] : tensor<2x6xf32> -> tensor<6x2xf32>
  %3 = view.transpose %2 [1, 0] : tensor<6x2xf32> -> tensor<2x6xf32>
  op.output "neutral" %3 : tensor<2x6xf32>
  %4 = view.broadcast %x [1, 2] : tensor<2x6xf32> -> tensor<5x2x6xf32>
  %5 = view.broadcast %4 [0, 1, 3] : tensor<5x2x6xf32> -> tensor<5x2x7x6xf32>
  op.output "broadcast" %5 : tensor<5x2x7x6xf32>
  %6 = view.slice %x [0, 1] [2, 6] [1, 2] : tensor<2x6xf32> -> tensor<2x3xf32>
  %7 = view.slice %6 [1, 0] [2, 3] [1, 2] : tensor<2x3xf32> -> tensor<1x2xf32>
  op.output "slice" %7 : tensor<1x2xf32>
  %8 = view.pad %x [1, 0] [0, 2] : tensor<2x6xf32> -> tensor<3x8xf32>
  %9 = view.pad %8 [0, 1] [1, 0] : tensor<3x8xf32> -> tensor<4x9xf32>
  op.output "pad" %9 : tensor<4x9xf32>
  %10 = op.sum_relu %x axes [] : tensor<2x6xf32> -> tensor<2x6xf32>
  %11 = op.sum_relu %x axes [] : tensor<2x6xf32> -> tensor<2x6xf32>
  %12 = op.max %10, %11 axes [] : tensor<2x6xf32>, tensor<2x6xf32> -> tensor<2x6xf32>
  op.output "common" %12 : tensor<2x6xf32>
  %13 = op.identity %x : tensor<2x6xf32> -> tensor<2x6xf32>
  %i = op.input "i" ["6"] : tensor<6xi32>
  %t = op.input "t" ["5", "2"] : tensor<5x2xf32>
  %14 = view.patches %i [0] [3] [1] : tensor<6xi32> -> tensor<4x3xi32>
  %15 = view.gather %t at %14 : tensor<5x2xf32>, tensor<4x3xi32> -> tensor<4x3x2xf32>
  op.output "rows" %15 : tensor<4x3x2xf32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   net.network @n dims {} {
// CHECK-NEXT:     %x = op.input "x" ["2", "6"] : tensor<2x6xf32>
// CHECK-NEXT:     %0 = view.reshape %x : tensor<2x6xf32> -> tensor<3x4xf32>
// CHECK-NEXT:     op.output "reshape" %0 : tensor<3x4xf32>
// CHECK-NEXT:     op.output "neutral" %x : tensor<2x6xf32>
// CHECK-NEXT:     %1 = view.broadcast %x [1, 3] : tensor<2x6xf32> -> tensor<5x2x7x6xf32>
// CHECK-NEXT:     op.output "broadcast" %1 : tensor<5x2x7x6xf32>
// CHECK-NEXT:     %2 = view.slice %x [1, 1] [2, 6] [1, 4] : tensor<2x6xf32> -> tensor<1x2xf32>
// CHECK-NEXT:     op.output "slice" %2 : tensor<1x2xf32>
// CHECK-NEXT:     %3 = view.pad %x [1, 1] [1, 2] : tensor<2x6xf32> -> tensor<4x9xf32>
// CHECK-NEXT:     op.output "pad" %3 : tensor<4x9xf32>
// CHECK-NEXT:     %4 = op.sum_relu %x axes [] : tensor<2x6xf32> -> tensor<2x6xf32>
// CHECK-NEXT:     %5 = op.max %4, %4 axes [] : tensor<2x6xf32>, tensor<2x6xf32> -> tensor<2x6xf32>
// CHECK-NEXT:     op.output "common" %5 : tensor<2x6xf32>
// CHECK-NEXT:     %i = op.input "i" ["6"] : tensor<6xi32>
// CHECK-NEXT:     %t = op.input "t" ["5", "2"] : tensor<5x2xf32>
// CHECK-NEXT:     %6 = view.gather %t at %i : tensor<5x2xf32>, tensor<6xi32> -> tensor<6x2xf32>
// CHECK-NEXT:     %7 = view.patches %6 [0] [3] [1] : tensor<6x2xf32> -> tensor<4x3x2xf32>
// CHECK-NEXT:     op.output "rows" %7 : tensor<4x3x2xf32>
// CHECK-NEXT:   }
// CHECK-NEXT: }

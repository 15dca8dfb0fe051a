// RUN: pjc opt %s -p net-infer-shapes | filecheck %s

// Unknown sizes follow from those of the operands, through views and operations.

net.network @n dims {} {
  %x = "test.op"() : () -> tensor<8x4xf32>
  %w = "test.op"() : () -> tensor<4x3xf32>
  %z = op.dot %x, %w : tensor<8x4xf32>, tensor<4x3xf32> -> tensor<?x3xf32>
  %t = view.transpose %z [1, 0] : tensor<?x3xf32> -> tensor<?x?xf32>
  %f = view.reshape %t : tensor<?x?xf32> -> tensor<?xf32>
  %h = op.sum_relu %z axes [1] : tensor<?x3xf32> -> tensor<?xf32>
  op.output "f" %f : tensor<?xf32>
  op.output "h" %h : tensor<?xf32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   net.network @n dims {} {
// CHECK-NEXT:     %x = "test.op"() : () -> tensor<8x4xf32>
// CHECK-NEXT:     %w = "test.op"() : () -> tensor<4x3xf32>
// CHECK-NEXT:     %z = op.dot %x, %w : tensor<8x4xf32>, tensor<4x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %t = view.transpose %z [1, 0] : tensor<8x3xf32> -> tensor<3x8xf32>
// CHECK-NEXT:     %f = view.reshape %t : tensor<3x8xf32> -> tensor<24xf32>
// CHECK-NEXT:     %h = op.sum_relu %z axes [1] : tensor<8x3xf32> -> tensor<8xf32>
// CHECK-NEXT:     op.output "f" %f : tensor<24xf32>
// CHECK-NEXT:     op.output "h" %h : tensor<8xf32>
// CHECK-NEXT:   }
// CHECK-NEXT: }

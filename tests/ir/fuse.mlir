// RUN: pjc opt %s -p fuse | filecheck %s

// A sum that only one sum or sum_relu reads becomes terms of its reader; a sum with two readers stays,
// and so does one along axes.

feas.problem @p dims {} {
  %a, %b, %c, %d = "test.op"() : () -> (tensor<4x3xf32>, tensor<4x3xf32>, tensor<4x3xf32>, tensor<4xf32>)
  %s = op.sum "s" %a, %b axes [] : tensor<4x3xf32>, tensor<4x3xf32> -> tensor<4x3xf32>
  %t = op.sum "t" %s, %c axes [] : tensor<4x3xf32>, tensor<4x3xf32> -> tensor<4x3xf32>
  %h = op.sum_relu "h" %t axes [] : tensor<4x3xf32> -> tensor<4x3xf32>
  %u = op.sum "u" %h, %a axes [] : tensor<4x3xf32>, tensor<4x3xf32> -> tensor<4x3xf32>
  %v = op.sum_relu "v" %u axes [] : tensor<4x3xf32> -> tensor<4x3xf32>
  %r = op.sum "r" %u, %v axes [1] : tensor<4x3xf32>, tensor<4x3xf32> -> tensor<4xf32>
  %k = op.sum_relu "k" %r, %d axes [] : tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  op.output "k" %k : tensor<4xf32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   feas.problem @p dims {} {
// CHECK-NEXT:     %a, %b, %c, %d = "test.op"() : () -> (tensor<4x3xf32>, tensor<4x3xf32>, tensor<4x3xf32>, tensor<4xf32>)
// CHECK-NEXT:     %h = op.sum_relu "h" %a, %b, %c axes [] : tensor<4x3xf32>, tensor<4x3xf32>, tensor<4x3xf32> -> tensor<4x3xf32>
// CHECK-NEXT:     %u = op.sum "u" %h, %a axes [] : tensor<4x3xf32>, tensor<4x3xf32> -> tensor<4x3xf32>
// CHECK-NEXT:     %v = op.sum_relu "v" %u axes [] : tensor<4x3xf32> -> tensor<4x3xf32>
// CHECK-NEXT:     %r = op.sum "r" %u, %v axes [1] : tensor<4x3xf32>, tensor<4x3xf32> -> tensor<4xf32>
// CHECK-NEXT:     %k = op.sum_relu "k" %r, %d axes [] : tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:     op.output "k" %k : tensor<4xf32>
// CHECK-NEXT:   }
// CHECK-NEXT: }

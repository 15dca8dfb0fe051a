// RUN: pjc opt %s -p fuse | filecheck %s

// A sum that only one sum or sum_relu reads becomes terms of its reader; a sum with two readers stays,
// and so does one along axes.

feas.problem @p dims {} {
  %a, %b, %c, %d = "test.op"() : () -> (tensor<4x3xf32>, tensor<4x3xf32>, tensor<4x3xf32>, tensor<4xf32>)
  %s = feas.sum "s" %a, %b axes [] : tensor<4x3xf32>, tensor<4x3xf32> -> tensor<4x3xf32>
  %t = feas.sum "t" %s, %c axes [] : tensor<4x3xf32>, tensor<4x3xf32> -> tensor<4x3xf32>
  %h = feas.sum_relu "h" %t axes [] : tensor<4x3xf32> -> tensor<4x3xf32>
  %u = feas.sum "u" %h, %a axes [] : tensor<4x3xf32>, tensor<4x3xf32> -> tensor<4x3xf32>
  %v = feas.sum_relu "v" %u axes [] : tensor<4x3xf32> -> tensor<4x3xf32>
  %r = feas.sum "r" %u, %v axes [1] : tensor<4x3xf32>, tensor<4x3xf32> -> tensor<4xf32>
  %k = feas.sum_relu "k" %r, %d axes [] : tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  feas.output "k" %k : tensor<4xf32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   feas.problem @p dims {} {
// CHECK-NEXT:     %a, %b, %c, %d = "test.op"() : () -> (tensor<4x3xf32>, tensor<4x3xf32>, tensor<4x3xf32>, tensor<4xf32>)
// CHECK-NEXT:     %h = feas.sum_relu "h" %a, %b, %c axes [] : tensor<4x3xf32>, tensor<4x3xf32>, tensor<4x3xf32> -> tensor<4x3xf32>
// CHECK-NEXT:     %u = feas.sum "u" %h, %a axes [] : tensor<4x3xf32>, tensor<4x3xf32> -> tensor<4x3xf32>
// CHECK-NEXT:     %v = feas.sum_relu "v" %u axes [] : tensor<4x3xf32> -> tensor<4x3xf32>
// CHECK-NEXT:     %r = feas.sum "r" %u, %v axes [1] : tensor<4x3xf32>, tensor<4x3xf32> -> tensor<4xf32>
// CHECK-NEXT:     %k = feas.sum_relu "k" %r, %d axes [] : tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:     feas.output "k" %k : tensor<4xf32>
// CHECK-NEXT:   }
// CHECK-NEXT: }

// RUN: pjc opt %s -p net-label | filecheck %s

// Operations, losses, sets and loops get labels of their own; parameters keep theirs, and so does the first
// of several with one label.

net.network @n dims {} {
  %y = op.target "y" classes 3 : tensor<8xi32>
  %x = op.input "dot" : tensor<8x3xf32>
  %a = op.dot "h" %x, %w : tensor<8x3xf32>, tensor<3x3xf32> -> tensor<8x3xf32>
  %w = op.parameter "h" <1.0 * zeros> : tensor<3x3xf32>
  %b = op.dot %a, %w : tensor<8x3xf32>, tensor<3x3xf32> -> tensor<8x3xf32>
  %c = op.dot "dot" %b, %w : tensor<8x3xf32>, tensor<3x3xf32> -> tensor<8x3xf32>
  %d = net.for "dot" 2 carries (%c) : (tensor<8x3xf32>) -> (tensor<8x3xf32>) collects () {
  ^body(%h : tensor<8x3xf32>):
    %e = op.identity "dot_1" %h : tensor<8x3xf32> -> tensor<8x3xf32>
    net.yield (%e) collect () : (tensor<8x3xf32>) collect ()
  }
  %k = op.constant 0.5 : tensor<8x3xf32>
  op.set %w in "nonneg" {} : tensor<3x3xf32>
  op.margin %d, %y in [0.0, 1.0] : tensor<8x3xf32>, tensor<8xi32>
  op.output "d" %d : tensor<8x3xf32>
}

// CHECK: %a = op.dot "h_1" %x, %w
// CHECK-NEXT: %w = op.parameter "h"
// CHECK-NEXT: %b = op.dot "dot_2" %a, %w
// CHECK-NEXT: %c = op.dot "dot" %b, %w
// CHECK-NEXT: %d = net.for "dot_3" 2
// CHECK: %e = op.identity "dot_1" %h
// CHECK: %k = op.constant 5.000000e-01 called "constant"
// CHECK-NEXT: op.set "set" %w in "nonneg"
// CHECK-NEXT: op.margin "margin" %d, %y

// RUN: pjc opt %s -p 'proj-partition{stack=2 assigned="a=0","loss=1"}' | filecheck %s

// Without loops the devices of the stack axis each take some of the constraints.

proj.program @small parts ["A"] dims {batch = 4 : i64} {
  proj.variable @a.1 "mean" operand 1 of "a" : tensor<3x2xf32>
  proj.variable @loss.0 "copies" operand 0 of "loss" : tensor<4x2xf32>
  proj.forward {
    %x = proj.datum "x" : tensor<4x3xf32>
  }
  proj.part "A" {
    %x = proj.datum "x" : tensor<4x3xf32>
  }
}

// CHECK:      proj.program @small parts ["A"] dims {batch = 4 : i64} mesh <sample = 1, feature = 1, stack = 2> assigned {a = 0 : i64, loss = 1 : i64} {
// CHECK-NEXT:   proj.variable @a.1 "mean" operand 1 of "a"

// RUN: pjc opt %s -p 'proj-partition{sample=2 feature=3 stack=4}' | filecheck %s

// Four layers with parameters of their own, of as many samples: rows are split by sample, columns by feature,
// layers by stack.

proj.program @small parts ["A", "B"] dims {batch = 4 : i64} {
  proj.variable @weight.slot "slot" of "weight" : tensor<4x3x3xf32>
  proj.variable @matmul.0 "mean" operand 0 of "matmul" : tensor<4x4x3xf32>
  proj.variable @matmul.1 "mean" operand 1 of "matmul" : tensor<4x3x3xf32>
  proj.variable @matmul.identity.0 "copies" operand 0 of "matmul.identity" : tensor<4x4x3xf32>
  proj.variable @margin.0 "copies" operand 0 of "margin" : tensor<4x3xf32>
  proj.forward {
    %x = proj.datum "x" : tensor<4x3xf32>
    %0 = view.reshape %x : tensor<4x3xf32> -> tensor<1x4x3xf32>
    %weight = op.parameter "weight" <1.0 * he_normal> family 4 : tensor<4x3x3xf32>
    %h, %h_1 = proj.for "t" 4 carries(%0) over(%weight) : (tensor<1x4x3xf32>) over(tensor<4x3x3xf32>) -> (tensor<4x4x3xf32>, tensor<4x4x3xf32>) {
    ^bb0(%1: tensor<1x4x3xf32>, %2: tensor<1x3x3xf32>):
      %h_2 = proj.evaluate "dot" {} %1, %2 of "matmul" : tensor<1x4x3xf32>, tensor<1x3x3xf32> -> tensor<1x4x3xf32>
      %h_3 = proj.evaluate "identity" {} %h_2 of "matmul.identity" : tensor<1x4x3xf32> -> tensor<1x4x3xf32>
      proj.next(%h_3) collect(%h_2, %h_3) : (tensor<1x4x3xf32>) collect(tensor<1x4x3xf32>, tensor<1x4x3xf32>)
    }
    %3 = view.slice %h [3, 0, 0] [4, 4, 3] [1, 1, 1] : tensor<4x4x3xf32> -> tensor<1x4x3xf32>
    %4 = view.reshape %3 : tensor<1x4x3xf32> -> tensor<4x3xf32>
    op.output "h" %4 : tensor<4x3xf32>
    proj.write %x to [#proj.path<@matmul.0 via reshape [1, 4, 3] then place [0, 0, 4]>] : tensor<4x3xf32>
    proj.write %weight to [#proj.path<@matmul.1>] : tensor<4x3x3xf32>
    proj.write %weight to [#proj.path<@weight.slot>] : tensor<4x3x3xf32>
    proj.write %h to [#proj.path<@matmul.identity.0>, #proj.path<@margin.0 via slice [3, 0, 0] [4, 4, 3] [1, 1, 1] then reshape [4, 3]>] : tensor<4x4x3xf32>
    proj.write %h_1 to [#proj.path<@matmul.0 via shift [1]>] : tensor<4x4x3xf32>
  }
  proj.part "A" {
    %5 = proj.datum "x" : tensor<4x3xf32>
    proj.write %5 to [#proj.path<@matmul.0 via reshape [1, 4, 3] then place [0, 0, 4]>] : tensor<4x3xf32>
    %6 = proj.gather "weight" from [#proj.path<@matmul.1>] : tensor<4x3x3xf32>
    proj.write %6 to [#proj.path<@weight.slot>, #proj.path<@matmul.1>] : tensor<4x3x3xf32>
    %7 = proj.read @matmul.identity.0 : tensor<4x4x3xf32>
    %8 = proj.gather "matmul.identity" from [#proj.path<@matmul.0 via shift [1]>] : tensor<4x4x3xf32>
    %9, %10 = proj.project "identity" {}(%7) to %8 of "matmul.identity" : tensor<4x4x3xf32> to tensor<4x4x3xf32> -> tensor<4x4x3xf32> to tensor<4x4x3xf32>
    proj.write %9 to [#proj.path<@matmul.identity.0>] : tensor<4x4x3xf32>
    proj.write %10 to [#proj.path<@matmul.0 via shift [1]>] : tensor<4x4x3xf32>
    %11 = proj.read @margin.0 : tensor<4x3xf32>
    %12 = proj.datum "y" : tensor<4xi32>
    %13 = proj.project_loss "margin" {low = 0.000000e+00 : f64, high = 1.000000e+00 : f64}(%11) given %12 of "margin" : tensor<4x3xf32> given tensor<4xi32> -> tensor<4x3xf32>
    proj.write %13 to [#proj.path<@margin.0>] : tensor<4x3xf32>
  }
  proj.part "B" {
    %14 = proj.gather "matmul" from [#proj.path<@matmul.identity.0>, #proj.path<@margin.0 via slice [3, 0, 0] [4, 4, 3] [1, 1, 1] then reshape [4, 3]>] : tensor<4x4x3xf32>
    %15 = proj.read @matmul.0 : tensor<4x4x3xf32>
    %16 = proj.read @matmul.1 : tensor<4x3x3xf32>
    %17, %18, %19 = proj.project_shared "dot" {}(%15, %16) to %14 of "matmul" wanted [0, 1] : tensor<4x4x3xf32>, tensor<4x3x3xf32> to tensor<4x4x3xf32> -> tensor<4x4x3xf32>, tensor<4x3x3xf32> to tensor<4x4x3xf32>
    proj.write %17 to [#proj.path<@matmul.0>] : tensor<4x4x3xf32>
    proj.write %18 to [#proj.path<@matmul.1>] : tensor<4x3x3xf32>
    proj.write %19 to [#proj.path<@matmul.identity.0>, #proj.path<@margin.0 via slice [3, 0, 0] [4, 4, 3] [1, 1, 1] then reshape [4, 3]>] : tensor<4x4x3xf32>
  }
  proj.iterate "ap" {
  ^bb0(%20: !proj.state):
    %21 = proj.onto "A" %20
    %22 = proj.onto "B" %21
    proj.yield %22 gap %22, %21
  }
}

// CHECK: proj.program @small parts ["A", "B"] dims {batch = 4 : i64} mesh <sample = 2, feature = 3, stack = 4> {
// CHECK: proj.variable @weight.slot "slot" of "weight" sharded <[stack], [], [feature]> : tensor<4x3x3xf32>
// CHECK: proj.variable @matmul.0 "mean" operand 0 of "matmul" sharded <[stack], [sample], []> : tensor<4x4x3xf32>
// CHECK: proj.variable @matmul.1 "mean" operand 1 of "matmul" sharded <[stack], [], [feature]> : tensor<4x3x3xf32>
// CHECK: proj.variable @matmul.identity.0 "copies" operand 0 of "matmul.identity" sharded <[stack], [sample], [feature]> : tensor<4x4x3xf32>
// CHECK: proj.variable @margin.0 "copies" operand 0 of "margin" sharded <[sample], []> : tensor<4x3xf32>
// CHECK: %x = proj.datum "x" sharded <[sample], []> : tensor<4x3xf32>
// CHECK: %weight = op.parameter "weight" <1.0 * he_normal> family 4 sharded <[stack], [], [feature]> : tensor<4x3x3xf32>
// CHECK: %5 = proj.datum "x" sharded <[sample], []> : tensor<4x3xf32>
// CHECK: %6 = proj.gather "weight" from [#proj.path<@matmul.1>] sharded <[stack], [], [feature]> : tensor<4x3x3xf32>
// CHECK: %8 = proj.gather "matmul.identity" from [#proj.path<@matmul.0 via shift [1]>] sharded <[stack], [sample], [feature]> : tensor<4x4x3xf32>
// CHECK: %12 = proj.datum "y" sharded <[sample]> : tensor<4xi32>
// CHECK: %14 = proj.gather "matmul" from [#proj.path<@matmul.identity.0>, #proj.path<@margin.0 via slice [3, 0, 0] [4, 4, 3] [1, 1, 1] then reshape [4, 3]>] sharded <[stack], [sample], [feature]> : tensor<4x4x3xf32>

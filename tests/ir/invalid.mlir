// RUN: pjc opt %s --split-input-file --verify-diagnostics | filecheck %s

net.network @n dims {} {
  %x, %w = "test.op"() : () -> (tensor<8x4xf32>, tensor<5x3xf32>)
  %z = op.dot %x, %w : tensor<8x4xf32>, tensor<5x3xf32> -> tensor<8x3xf32>
}
// CHECK: 'op.dot': '@' needs the last dimension of [8, 4] to equal the second to last of [5, 3], found 4 and 5

// -----

%x = "test.op"() : () -> tensor<8x4xf32>
%z = op.sum %x axes [0] : tensor<8x4xf32> -> tensor<8xf32>
// CHECK: 'op.sum' gives a tensor of shape [4], but its result type says [8]

// -----

%x = "test.op"() : () -> tensor<8x4xf32>
%z = op.identity %x : tensor<8x4xf32> -> tensor<8x4xf64>
// CHECK: 'op.identity' must keep the element type of its operands

// -----

%x = "test.op"() : () -> tensor<8xf32>
%z = op.quantize %x to [1.0, 1.0] : tensor<8xf32> -> tensor<8xf32>
// CHECK: levels must be strictly increasing, found [1.0, 1.0]

// -----

%x = op.input "x" ["batch"] : tensor<8x4xf32>
// CHECK: 'op.input' names 1 dimensions of a rank 2 tensor

// -----

%y = op.target "y" ["batch"] : tensor<8xi32>
// CHECK: 'op.target' needs 'classes' if, and only if, its elements are i32

// -----

%w = op.parameter "w" <1.0 * normal> : tensor<8xf32>
// CHECK: initializer 'normal' takes 1 numbers, found 0

// -----

%w = op.parameter "w" <1.0 * xavier> : tensor<8xf32>
// CHECK: unknown initializer 'xavier'; known are zeros, ones

// -----

%z, %y = "test.op"() : () -> (tensor<8x3xf32>, tensor<7xi32>)
op.margin %z, %y in [0.0, 1.0] : tensor<8x3xf32>, tensor<7xi32>
// CHECK: 'op.margin' on values of shape [8, 3] needs class targets of shape [8], found tensor<7xi32>

// -----

%z, %y = "test.op"() : () -> (tensor<8x3xf32>, tensor<8xi32>)
op.margin %z, %y in [0.0] : tensor<8x3xf32>, tensor<8xi32>
// CHECK: a margin takes two bounds, found 1

// -----

%z, %y = "test.op"() : () -> (tensor<8x3xf32>, tensor<8xi32>)
op.cross_entropy %z, %y strength -1.0 : tensor<8x3xf32>, tensor<8xi32>
// CHECK: strength must be positive, found -1.0

// -----

%x = "test.op"() : () -> tensor<2x3xf32>
%z = view.transpose %x [1, 1] : tensor<2x3xf32> -> tensor<3x2xf32>
// CHECK: 'view.transpose': a transpose of [2, 3] needs a permutation of its 2 axes, found [1, 1]

// -----

"test.op"() {step = #view.step<turn [1]>} : () -> ()
// CHECK: unknown step 'turn'

// -----

"test.op"() {step = #view.step<slice [1]>} : () -> ()
// CHECK: step 'slice' takes 3 lists, found 1

// -----

"test.op"() {step = #view.step<place [0, 2]>} : () -> ()
// CHECK: step 'place' takes the list [axis, offset, size], found [0, 2]

// -----

feas.problem @p dims {} parts ["A"] {
  %x = op.input "x" part "B" : tensor<2xf32>
}
// CHECK: node 'x' is in part 'B', but the problem's parts are ['A']

// -----

feas.problem @p dims {} parts ["A", "B"] {
  %x = op.input "x" part "A" : tensor<2xf32>
  %v = view.reshape %x : tensor<2xf32> -> tensor<1x2xf32>
  %z = op.identity "z" %v part "A" : tensor<1x2xf32> -> tensor<1x2xf32>
}
// CHECK: 'x' feeds 'z' and both are in part 'A'; a part must hold independent nodes

// -----

feas.problem @p dims {} {
  %x = op.input "x" : tensor<2xf32>
  %a = op.identity "z" %x : tensor<2xf32> -> tensor<2xf32>
  %b = op.identity "z" %x : tensor<2xf32> -> tensor<2xf32>
}
// CHECK: two nodes are called 'z'

// -----

proj.program @p parts [] dims {} {
  "test.op"() : () -> ()
}
// CHECK: a program has one proj.forward, found 0

// -----

proj.program @p parts ["A"] dims {} {
  proj.forward {
    "test.op"() : () -> ()
  }
}
// CHECK: the program's parts are ['A'], but it holds []

// -----

proj.program @p parts [] dims {} {
  proj.variable @v "copies" operand 0 of "z" : tensor<2xf32>
  proj.variable @v "copies" operand 0 of "z" : tensor<2xf32>
  proj.forward {
    "test.op"() : () -> ()
  }
}
// CHECK: variable 'v' is declared twice

// -----

proj.variable @v "numbers" of "z" : tensor<2xf32>
// CHECK: the role of a variable is one of slot, copies, mean, c, f, d, e, sigma, delta, alpha, beta, product, found 'numbers'

// -----

proj.variable @v "copies" of "z" : tensor<2xf32>
// CHECK: a variable of role 'copies' names its operand

// -----

proj.variable @v "slot" operand 0 of "z" : tensor<2xf32>
// CHECK: a variable of role 'slot' is of no operand

// -----

proj.program @p parts [] dims {} {
  proj.variable @v "copies" operand 0 of "z" : tensor<2xf32>
  proj.variable @w "copies" operand 0 of "z" : tensor<2xf32>
  proj.forward {
    "test.op"() : () -> ()
  }
}
// CHECK: 'z' holds two variables of role 'copies'

// -----

proj.program @p parts [] dims {} {
  proj.forward {
    %w = op.parameter "w" <1.0 * zeros> : tensor<2xf32>
    proj.write %w to [#proj.path<@v>] : tensor<2xf32>
  }
}
// CHECK: variable '@v' is not declared

// -----

proj.program @p parts [] dims {} {
  proj.variable @v "copies" operand 0 of "z" : tensor<3x2xf32>
  proj.forward {
    %w = op.parameter "w" <1.0 * zeros> : tensor<2xf32>
    proj.write %w to [#proj.path<@v via broadcast [4, 2] [1]>] : tensor<2xf32>
  }
}
// CHECK: a path leads to shape [4, 2], but '@v' has shape [3, 2]

// -----

proj.program @p parts ["A"] dims {} {
  proj.variable @v "copies" operand 0 of "z" : tensor<2xf32>
  proj.forward {
    "test.op"() : () -> ()
  }
  proj.part "A" {
    %c = proj.read @v : tensor<3xf32>
  }
}
// CHECK: '@v' has type tensor<2xf32>, read as tensor<3xf32>

// -----

%c, %z = "test.op"() : () -> (tensor<2xf32>, tensor<2xf32>)
%n, %v = proj.project "identity" {} (%c) to %z of "i" : tensor<2xf32> to tensor<2xf32> -> tensor<3xf32> to tensor<2xf32>
// CHECK: 'proj.project' must keep the types of what it projects

// -----

proj.program @p parts ["A"] dims {} {
  proj.forward {
    "test.op"() : () -> ()
  }
  proj.part "A" {
    "test.op"() : () -> ()
  }
  proj.iterate "ap" {
  ^bb0(%x : !proj.state):
    %a = proj.onto "B" %x
    proj.yield %a gap %a, %x
  }
}
// CHECK: there is no part 'B'; parts are ['A']

// -----

%x = "test.op"() : () -> !proj.state
%y = proj.combine [1.0, 2.0] %x : !proj.state
// CHECK: 2 weights do not fit 1 states

// -----

%x, %w, %z = "test.op"() : () -> (tensor<4x3xf32>, tensor<3x2xf32>, tensor<4x2xf32>)
%m, %n, %v = proj.project_shared "dot" {} (%x, %w) to %z of "a" wanted [1, 0] : tensor<4x3xf32>, tensor<3x2xf32> to tensor<4x2xf32> -> tensor<3x2xf32>, tensor<4x3xf32> to tensor<4x2xf32>
// CHECK: wanted operands are 0 and 1 in order, found [1, 0]

// -----

%x, %w, %z = "test.op"() : () -> (tensor<4x3xf32>, tensor<3x2xf32>, tensor<4x2xf32>)
%m, %n, %v = proj.project_shared "dot" {} (%x, %w) to %z of "a" wanted [1] : tensor<4x3xf32>, tensor<3x2xf32> to tensor<4x2xf32> -> tensor<3x2xf32>, tensor<4x3xf32> to tensor<4x2xf32>
// CHECK: 1 means are wanted, but there are other results

// -----

feas.problem @p dims {} parts ["A"] {
  %x = op.input "x" : tensor<4x3xf32>
  %w = op.parameter "w" <1.0 * zeros> : tensor<3x2xf32>
  %z = op.dot "z" %x, %w copies "half" : tensor<4x3xf32>, tensor<3x2xf32> -> tensor<4x2xf32>
}
// CHECK: copies are exact, held, shared, factored, found 'half'

// -----

feas.problem @p dims {} parts ["A"] {
  %x = op.input "x" : tensor<4x3x3x1xf32>
  %w = op.parameter "w" <1.0 * zeros> : tensor<2x2x1x2xf32>
  %z = op.convolution "z" %x, %w strides [1, 1] dilation [1, 1] low [0, 0] high [0, 0] copies "held" : tensor<4x3x3x1xf32>, tensor<2x2x1x2xf32> -> tensor<4x2x2x2xf32>
}
// CHECK: a convolution's copies are shared or factored, found 'held'; its other forms are those of a dot over patches

// -----

feas.problem @p dims {} parts ["A"] {
  %x = op.input "x" : tensor<4x3x3x2xf32>
  %w = op.parameter "w" <1.0 * zeros> : tensor<2x2x1x2xf32>
  %z = op.convolution "z" %x, %w strides [1, 1] dilation [1, 1] low [0, 0] high [0, 0] copies "shared" : tensor<4x3x3x2xf32>, tensor<2x2x1x2xf32> -> tensor<4x2x2x2xf32>
}
// CHECK: a convolution takes [batch, height, width, N] and [height, width, N, M], found [4, 3, 3, 2] and [2, 2, 1, 2], and two each of strides, dilation, low and high

// -----

feas.problem @p dims {} parts ["A"] {
  %x = op.input "x" : tensor<4x3x3x1xf32>
  %w = op.parameter "w" <1.0 * zeros> : tensor<2x2x1x2xf32>
  %z = op.convolution "z" %x, %w strides [0, 1] dilation [1, 1] low [0, 0] high [0, 0] copies "shared" : tensor<4x3x3x1xf32>, tensor<2x2x1x2xf32> -> tensor<4x2x2x2xf32>
}
// CHECK: strides and dilations are at least 1, and pads at least 0, found

// -----

"test.op"() {step = #view.step<gather [4]>} : () -> ()
// CHECK: a step names the datum of its indices if, and only if, it is a gather

// -----

%x, %i = "test.op"() : () -> (tensor<2x3xf32>, tensor<4xf32>)
%g = view.gather %x at %i : tensor<2x3xf32>, tensor<4xf32> -> tensor<4x3xf32>
// CHECK: 'view.gather' takes i32 indices, found tensor<4xf32>

// -----

%x, %i = "test.op"() : () -> (tensor<2x3xf32>, tensor<4xi32>)
%g = view.gather %x at %i : tensor<2x3xf32>, tensor<4xi32> -> tensor<4x3xf64>
// CHECK: 'view.gather' must keep the element type of its table

// -----

%x, %i = "test.op"() : () -> (tensor<f32>, tensor<4xi32>)
%g = view.gather %x at %i : tensor<f32>, tensor<4xi32> -> tensor<4xf32>
// CHECK: 'view.gather': a gather takes rows of a table of rank 1 or more, found a scalar

// -----

feas.problem @p dims {} {
  %x = op.input "x" : tensor<2x3xf32>
  %i = op.index "i" : tensor<4x5xi32>
  %v = view.transpose %i [1, 0] : tensor<4x5xi32> -> tensor<5x4xi32>
  %g = view.gather %x at %v : tensor<2x3xf32>, tensor<5x4xi32> -> tensor<5x4x3xf32>
  %z = op.identity "z" %g : tensor<5x4x3xf32> -> tensor<5x4x3xf32>
}
// CHECK: 'view.gather' needs indices that are data as they come; net-canonicalize moves views of them behind it

// -----

proj.program @p parts [] dims {} {
  proj.variable @v "copies" operand 0 of "z" : tensor<4x3xf32>
  proj.forward {
    %w = op.parameter "w" <1.0 * zeros> : tensor<2x3xf32>
    %i = proj.datum "i" : tensor<5xi32>
    proj.write %w to [#proj.path<@v via gather "i" [4]>] : tensor<2x3xf32>
  }
}
// CHECK: step '#view.step<gather "i" [4]>' needs a datum of that name and shape in i32, but it has type tensor<5xi32>

// -----

%x = "test.op"() : () -> tensor<2x3xf32>
%s = op.sum %x, %x axes [] weights [1.0] : tensor<2x3xf32>, tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK: 2 terms need as many weights, found 1

// -----

%x = "test.op"() : () -> tensor<2x3xf32>
%s = op.sum %x axes [] weights [0.0] : tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK: at least one weight must not be zero

// -----

%x = "test.op"() : () -> tensor<2x3xf32>
%s = op.piecewise %x edges [1.0, 0.0] slopes [1.0, 1.0, 1.0] offsets [0.0, 0.0, 0.0] : tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK: edges must be strictly increasing, found [1.0, 0.0]

// -----

%x = "test.op"() : () -> tensor<2x3xf32>
%s = op.piecewise %x edges [0.0] slopes [1.0] offsets [0.0, 0.0] : tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK: 1 edges need 2 slopes and offsets, found 1 and 2

// -----

%x, %y = "test.op"() : () -> (tensor<2x3xf32>, tensor<2xf32>)
op.squared_error %x, %y strength 1.0 : tensor<2x3xf32>, tensor<2xf32>
// CHECK: 'op.squared_error' on values of shape [2, 3] needs numeric targets of shape [2, 3], found tensor<2xf32>

// -----

%x = "test.op"() : () -> tensor<2x3xf32>
op.set %x in "cone" {} : tensor<2x3xf32>
// CHECK: there is no set 'cone'; known are box, 

// -----

%x = "test.op"() : () -> tensor<2x3xf32>
op.set %x in "ball" {radius = 1.0 : f64} : tensor<2x3xf32>
// CHECK: the fields of 'ball' are radius, axes; found radius

// -----

%x = "test.op"() : () -> tensor<2x3xf32>
op.set %x in "ball" {radius = -1.0 : f64, axes = array<i64: 0>} : tensor<2x3xf32>
// CHECK: set 'ball': radius must be positive, found -1.0

// -----

%x = "test.op"() : () -> tensor<2x3xf32>
op.set %x in "sparse" {k = 1 : i64, axes = array<i64: 2>} : tensor<2x3xf32>
// CHECK: set 'sparse': axis 2 is out of range for a tensor of rank 2

// -----

%x = "test.op"() : () -> tensor<2x3xf32>
op.set %x in "mask" {entries = array<f64: 1.0, 0.0>, shape = array<i64: 2>} : tensor<2x3xf32>
// CHECK: set 'mask': the mask has the shape [2], which is not the end of that of [2, 3]

// -----

%x = "test.op"() : () -> tensor<2x3xf32>
%s = op.apply by "winner" "n -> n" %x : tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK: 'n -> n' is no signature

// -----

%x = "test.op"() : () -> tensor<2x3xf32>
%s = op.apply by "winner" "[n] -> []" %x : tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK: 'op.apply' gives a tensor of shape [2], 

// -----

proj.program @p parts [] dims {} {
  proj.variable @z.0 "copies" operand 0 of "z" sharded <[sample], []> : tensor<4x3xf32>
  proj.forward {
    %k = op.constant 0.0 : tensor<1xf32>
  }
}
// CHECK: a tensor is sharded, but the program has no mesh

// -----

proj.program @p parts [] dims {} mesh <sample = 2, feature = 2, stack = 1> {
  proj.variable @z.0 "copies" operand 0 of "z" sharded <[sample]> : tensor<4x3xf32>
  proj.forward {
    %k = op.constant 0.0 : tensor<1xf32>
  }
}
// CHECK: sharding <[sample]> is not of a tensor of shape [4, 3]

// -----

proj.program @p parts [] dims {} mesh <sample = 2, feature = 2, stack = 1> {
  proj.variable @z.0 "copies" operand 0 of "z" sharded <[sample], [feature]> : tensor<4x3xf32>
  proj.forward {
    %k = op.constant 0.0 : tensor<1xf32>
  }
}
// CHECK: 3 entries cannot be split evenly over 2 devices

// -----

proj.program @p parts [] dims {} mesh <sample = 2, feature = 2, stack = 1> {
  proj.variable @z.0 "copies" operand 0 of "z" sharded <[sample], [sample]> : tensor<4x3xf32>
  proj.forward {
    %k = op.constant 0.0 : tensor<1xf32>
  }
}
// CHECK: mesh axis 'sample' splits two dimensions of one tensor

// -----

proj.program @p parts [] dims {} mesh <sample = 2, feature = 2, stack = 1> {
  proj.variable @z.0 "copies" operand 0 of "z" sharded <[batch], []> : tensor<4x3xf32>
  proj.forward {
    %k = op.constant 0.0 : tensor<1xf32>
  }
}
// CHECK: the axes of a mesh are sample, feature, stack, found 'batch'

// -----

proj.program @p parts [] dims {} mesh <sample = 0, feature = 2, stack = 1> {
  proj.variable @z.0 "copies" operand 0 of "z" sharded <[], []> : tensor<4x3xf32>
  proj.forward {
    %k = op.constant 0.0 : tensor<1xf32>
  }
}
// CHECK: mesh axis 'sample' has at least one device, found 0

// -----

proj.program @p parts [] dims {} mesh <sample = 1, feature = 1, stack = 2> assigned {a = 2 : i64} {
  proj.forward {
    %k = op.constant 0.0 : tensor<1xf32>
  }
}
// CHECK: 'a' is assigned to 2 : i64; the stack axis has 2 devices

// -----

proj.program @p parts ["A"] dims {} {
  proj.variable @z.0 "copies" operand 0 of "z" : tensor<2x3xf32>
  proj.forward {
    %k = op.constant 0.0 : tensor<1xf32>
  }
  proj.part "A" {
    %x = op.constant 1.0 : tensor<3xf32>
    proj.write %x beyond %x : tensor<3xf32> to [#proj.path<@z.0 via broadcast [2, 3] [1]>] : tensor<3xf32>
  }
}
// CHECK: what goes beyond another goes to all of '@z.0'

// -----

proj.program @p parts ["A"] dims {} {
  proj.variable @z.0 "copies" operand 0 of "z" : tensor<3xf32>
  proj.forward {
    %k = op.constant 0.0 : tensor<1xf32>
  }
  proj.part "A" {
    %x = op.constant 1.0 : tensor<3xf32>
    proj.write %x beyond %k : tensor<1xf32> to [#proj.path<@z.0>] : tensor<3xf32>
    %k = op.constant 1.0 : tensor<1xf32>
  }
}
// CHECK: a value of tensor<3xf32> is not beyond one of tensor<1xf32>

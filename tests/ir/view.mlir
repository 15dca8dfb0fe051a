// RUN: pjc opt %s | filecheck %s

// Every view, printed and parsed back.

%x = "test.op"() : () -> tensor<2x3xf32>
%i = "test.op"() : () -> tensor<4x5xi32>
%a = view.reshape %x : tensor<2x3xf32> -> tensor<6xf32>
%b = view.transpose %x [1, 0] : tensor<2x3xf32> -> tensor<3x2xf32>
%c = view.broadcast %x [0, 2] : tensor<2x3xf32> -> tensor<2x5x3xf32>
%d = view.slice %x [0, 1] [2, 3] [1, 1] : tensor<2x3xf32> -> tensor<2x2xf32>
%e = view.pad %x [0, 1] [1, 0] : tensor<2x3xf32> -> tensor<3x4xf32>
%f = view.concat %x, %d along 1 : tensor<2x3xf32>, tensor<2x2xf32> -> tensor<2x5xf32>
%g = view.gather %x at %i : tensor<2x3xf32>, tensor<4x5xi32> -> tensor<4x5x3xf32>
%k = view.patches %x [1] [2] [1] : tensor<2x3xf32> -> tensor<2x2x2xf32>
%l = view.patches %x [1] [2] [1] apart [2] : tensor<2x3xf32> -> tensor<2x1x2xf32>
%m = view.patches %x [1] [3] [1] apart [1] : tensor<2x3xf32> -> tensor<2x1x3xf32>
%j = "test.op"() : () -> tensor<1x3xf32>
%h = view.shift %j, %x : tensor<1x3xf32>, tensor<2x3xf32> -> tensor<2x3xf32>
"test.op"() {steps = [#view.step<transpose [1, 0]>, #view.step<shift [1]>, #view.step<patches [1] [2] [1]>, #view.step<patches [1] [2] [1] [2]>, #view.step<gather "t" [4, 5]>]} : () -> ()

// CHECK: builtin.module {
// CHECK-NEXT:   %x = "test.op"() : () -> tensor<2x3xf32>
// CHECK-NEXT:   %i = "test.op"() : () -> tensor<4x5xi32>
// CHECK-NEXT:   %a = view.reshape %x : tensor<2x3xf32> -> tensor<6xf32>
// CHECK-NEXT:   %b = view.transpose %x [1, 0] : tensor<2x3xf32> -> tensor<3x2xf32>
// CHECK-NEXT:   %c = view.broadcast %x [0, 2] : tensor<2x3xf32> -> tensor<2x5x3xf32>
// CHECK-NEXT:   %d = view.slice %x [0, 1] [2, 3] [1, 1] : tensor<2x3xf32> -> tensor<2x2xf32>
// CHECK-NEXT:   %e = view.pad %x [0, 1] [1, 0] : tensor<2x3xf32> -> tensor<3x4xf32>
// CHECK-NEXT:   %f = view.concat %x, %d along 1 : tensor<2x3xf32>, tensor<2x2xf32> -> tensor<2x5xf32>
// CHECK-NEXT:   %g = view.gather %x at %i : tensor<2x3xf32>, tensor<4x5xi32> -> tensor<4x5x3xf32>
// CHECK-NEXT:   %k = view.patches %x [1] [2] [1] : tensor<2x3xf32> -> tensor<2x2x2xf32>
// CHECK-NEXT:   %l = view.patches %x [1] [2] [1] apart [2] : tensor<2x3xf32> -> tensor<2x1x2xf32>
// CHECK-NEXT:   %m = view.patches %x [1] [3] [1] apart [1] : tensor<2x3xf32> -> tensor<2x1x3xf32>
// CHECK-NEXT:   %j = "test.op"() : () -> tensor<1x3xf32>
// CHECK-NEXT:   %h = view.shift %j, %x : tensor<1x3xf32>, tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:   "test.op"() {steps = [#view.step<transpose [1, 0]>, #view.step<shift [1]>, #view.step<patches [1] [2] [1]>, #view.step<patches [1] [2] [1] [2]>, #view.step<gather "t" [4, 5]>]} : () -> ()
// CHECK-NEXT: }

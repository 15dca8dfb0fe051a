// RUN: pjc opt %s -p net-unnest | filecheck %s

// Two layers in three steps: the inner loop has fewer iterations. Its parameter is one tensor above both.

net.network @deep dims {batch = 8 : i64} {
  %x = op.input "x" ["batch", "3"] : tensor<8x3xf32>
  %h = net.for "t" 3 carries (%x) : (tensor<8x3xf32>) -> (tensor<8x3xf32>) collects () {
  ^body(%before : tensor<8x3xf32>):
    %deep = net.for "layer" 2 carries (%before) : (tensor<8x3xf32>) -> (tensor<8x3xf32>) collects () {
    ^inner(%below : tensor<8x3xf32>):
      %w = op.parameter "w" <1.0 * he_normal> : tensor<3x3xf32>
      %z = op.dot %below, %w : tensor<8x3xf32>, tensor<3x3xf32> -> tensor<8x3xf32>
      net.yield (%z) collect () : (tensor<8x3xf32>) collect ()
    }
    net.yield (%deep) collect () : (tensor<8x3xf32>) collect ()
  }
  op.output "h" %h : tensor<8x3xf32>
}

// Two steps in three layers: the outer loop has fewer; what is left are two loops over time.

net.network @wide dims {batch = 8 : i64} {
  %x = op.input "x" ["batch", "3"] : tensor<8x3xf32>
  %h = net.for "layer" 2 carries (%x) : (tensor<8x3xf32>) -> (tensor<8x3xf32>) collects () {
  ^body(%below : tensor<8x3xf32>):
    %deep = net.for "t" 3 carries (%below) : (tensor<8x3xf32>) -> (tensor<8x3xf32>) collects () {
    ^inner(%before : tensor<8x3xf32>):
      %z = op.identity %before : tensor<8x3xf32> -> tensor<8x3xf32>
      net.yield (%z) collect () : (tensor<8x3xf32>) collect ()
    }
    net.yield (%deep) collect () : (tensor<8x3xf32>) collect ()
  }
  op.output "h" %h : tensor<8x3xf32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   net.network @deep dims {batch = 8 : i64} {
// CHECK-NEXT:     %x = op.input "x" ["batch", "3"] : tensor<8x3xf32>
// CHECK-NEXT:     %w = op.parameter "w" <1.0 * he_normal> family 6 : tensor<6x3x3xf32>
// CHECK-NEXT:     %0 = view.reshape %w : tensor<6x3x3xf32> -> tensor<3x2x3x3xf32>
// CHECK-NEXT:     %h = net.for "t" 3 carries(%x) : (tensor<8x3xf32>) -> (tensor<8x3xf32>) collects() {
// CHECK-NEXT:     ^body(%before: tensor<8x3xf32>):
// CHECK-NEXT:       %1 = net.at %0 axis 0 first 0 step 1 : tensor<3x2x3x3xf32> -> tensor<2x3x3xf32>
// CHECK-NEXT:       %2 = view.slice %1 [0, 0, 0] [1, 3, 3] [1, 1, 1] : tensor<2x3x3xf32> -> tensor<1x3x3xf32>
// CHECK-NEXT:       %3 = view.reshape %2 : tensor<1x3x3xf32> -> tensor<3x3xf32>
// CHECK-NEXT:       %z = op.dot %before, %3 : tensor<8x3xf32>, tensor<3x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:       %4 = view.slice %1 [1, 0, 0] [2, 3, 3] [1, 1, 1] : tensor<2x3x3xf32> -> tensor<1x3x3xf32>
// CHECK-NEXT:       %5 = view.reshape %4 : tensor<1x3x3xf32> -> tensor<3x3xf32>
// CHECK-NEXT:       %z_1 = op.dot %z, %5 : tensor<8x3xf32>, tensor<3x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:       net.yield(%z_1) collect() : (tensor<8x3xf32>) collect()
// CHECK-NEXT:     }
// CHECK-NEXT:     op.output "h" %h : tensor<8x3xf32>
// CHECK-NEXT:   }
// CHECK-NEXT:   net.network @wide dims {batch = 8 : i64} {
// CHECK-NEXT:     %x_1 = op.input "x" ["batch", "3"] : tensor<8x3xf32>
// CHECK-NEXT:     %deep = net.for "t" 3 carries(%x_1) : (tensor<8x3xf32>) -> (tensor<8x3xf32>) collects() {
// CHECK-NEXT:     ^bb0(%before_1: tensor<8x3xf32>):
// CHECK-NEXT:       %z_2 = op.identity %before_1 : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:       net.yield(%z_2) collect() : (tensor<8x3xf32>) collect()
// CHECK-NEXT:     }
// CHECK-NEXT:     %deep_1 = net.for "t" 3 carries(%deep) : (tensor<8x3xf32>) -> (tensor<8x3xf32>) collects() {
// CHECK-NEXT:     ^bb0(%before_2: tensor<8x3xf32>):
// CHECK-NEXT:       %z_3 = op.identity %before_2 : tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:       net.yield(%z_3) collect() : (tensor<8x3xf32>) collect()
// CHECK-NEXT:     }
// CHECK-NEXT:     op.output "h" %deep_1 : tensor<8x3xf32>
// CHECK-NEXT:   }
// CHECK-NEXT: }

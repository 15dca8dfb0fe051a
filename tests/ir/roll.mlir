// RUN: pjc opt %s -p net-roll | filecheck %s

// Four equal layers become a loop; the first product, of another shape, stays in front of it.

net.network @deep dims {batch = 8 : i64} {
  %x = op.input "x" ["batch", "2"] : tensor<8x2xf32>
  %v = op.parameter "v" <1.0 * he_normal> : tensor<2x3xf32>
  %h = op.dot %x, %v : tensor<8x2xf32>, tensor<2x3xf32> -> tensor<8x3xf32>
  %wa = op.parameter "wa" <1.0 * he_normal> : tensor<3x3xf32>
  %za = op.dot %h, %wa : tensor<8x3xf32>, tensor<3x3xf32> -> tensor<8x3xf32>
  %ha = op.sum_relu %za, %h axes [] : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
  %wb = op.parameter "wb" <1.0 * he_normal> : tensor<3x3xf32>
  %zb = op.dot %ha, %wb : tensor<8x3xf32>, tensor<3x3xf32> -> tensor<8x3xf32>
  %hb = op.sum_relu %zb, %ha axes [] : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
  %wc = op.parameter "wc" <1.0 * he_normal> : tensor<3x3xf32>
  %zc = op.dot %hb, %wc : tensor<8x3xf32>, tensor<3x3xf32> -> tensor<8x3xf32>
  %hc = op.sum_relu %zc, %hb axes [] : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
  %wd = op.parameter "wd" <1.0 * he_normal> : tensor<3x3xf32>
  %zd = op.dot %hc, %wd : tensor<8x3xf32>, tensor<3x3xf32> -> tensor<8x3xf32>
  %hd = op.sum_relu %zd, %hc axes [] : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
  op.output "hd" %hd : tensor<8x3xf32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   net.network @deep dims {batch = 8 : i64} {
// CHECK-NEXT:     %x = op.input "x" ["batch", "2"] : tensor<8x2xf32>
// CHECK-NEXT:     %v = op.parameter "v" <1.0 * he_normal> : tensor<2x3xf32>
// CHECK-NEXT:     %h = op.dot %x, %v : tensor<8x2xf32>, tensor<2x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %hd = net.for "layer" 4 carries(%h) : (tensor<8x3xf32>) -> (tensor<8x3xf32>) collects() {
// CHECK-NEXT:     ^bb0(%h_1: tensor<8x3xf32>):
// CHECK-NEXT:       %wa = op.parameter "wa..wd" <1.0 * he_normal> members ["wa", "wb", "wc", "wd"] : tensor<3x3xf32>
// CHECK-NEXT:       %za = op.dot %h_1, %wa : tensor<8x3xf32>, tensor<3x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:       %ha = op.sum_relu %za, %h_1 axes [] : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:       net.yield(%ha) collect() : (tensor<8x3xf32>) collect()
// CHECK-NEXT:     }
// CHECK-NEXT:     op.output "hd" %hd : tensor<8x3xf32>
// CHECK-NEXT:   }
// CHECK-NEXT: }

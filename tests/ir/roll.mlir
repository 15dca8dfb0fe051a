// RUN: pjc opt %s -p net-roll | filecheck %s

// Four equal layers become a loop; the first product, of another shape, stays in front of it.

net.network @deep dims {batch = 8 : i64} {
  %x = net.input "x" ["batch", "2"] : tensor<8x2xf32>
  %v = net.param "v" <1.0 * he_normal> : tensor<2x3xf32>
  %h = net.matmul %x, %v : tensor<8x2xf32>, tensor<2x3xf32> -> tensor<8x3xf32>
  %wa = net.param "wa" <1.0 * he_normal> : tensor<3x3xf32>
  %za = net.matmul %h, %wa : tensor<8x3xf32>, tensor<3x3xf32> -> tensor<8x3xf32>
  %ha = net.sum_relu %za, %h axes [] : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
  %wb = net.param "wb" <1.0 * he_normal> : tensor<3x3xf32>
  %zb = net.matmul %ha, %wb : tensor<8x3xf32>, tensor<3x3xf32> -> tensor<8x3xf32>
  %hb = net.sum_relu %zb, %ha axes [] : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
  %wc = net.param "wc" <1.0 * he_normal> : tensor<3x3xf32>
  %zc = net.matmul %hb, %wc : tensor<8x3xf32>, tensor<3x3xf32> -> tensor<8x3xf32>
  %hc = net.sum_relu %zc, %hb axes [] : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
  %wd = net.param "wd" <1.0 * he_normal> : tensor<3x3xf32>
  %zd = net.matmul %hc, %wd : tensor<8x3xf32>, tensor<3x3xf32> -> tensor<8x3xf32>
  %hd = net.sum_relu %zd, %hc axes [] : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
  net.output "hd" %hd : tensor<8x3xf32>
}

// CHECK: builtin.module {
// CHECK-NEXT:   net.network @deep dims {batch = 8 : i64} {
// CHECK-NEXT:     %x = net.input "x" ["batch", "2"] : tensor<8x2xf32>
// CHECK-NEXT:     %v = net.param "v" <1.0 * he_normal> : tensor<2x3xf32>
// CHECK-NEXT:     %h = net.matmul %x, %v : tensor<8x2xf32>, tensor<2x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:     %hd = net.for "layer" 4 carries(%h) : (tensor<8x3xf32>) -> (tensor<8x3xf32>) collects() {
// CHECK-NEXT:     ^bb0(%h_1: tensor<8x3xf32>):
// CHECK-NEXT:       %wa = net.param "wa..wd" <1.0 * he_normal> members ["wa", "wb", "wc", "wd"] : tensor<3x3xf32>
// CHECK-NEXT:       %za = net.matmul %h_1, %wa : tensor<8x3xf32>, tensor<3x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:       %ha = net.sum_relu %za, %h_1 axes [] : tensor<8x3xf32>, tensor<8x3xf32> -> tensor<8x3xf32>
// CHECK-NEXT:       net.yield(%ha) collect() : (tensor<8x3xf32>) collect()
// CHECK-NEXT:     }
// CHECK-NEXT:     net.output "hd" %hd : tensor<8x3xf32>
// CHECK-NEXT:   }
// CHECK-NEXT: }

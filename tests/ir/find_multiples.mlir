// RUN: pjc opt %s -p net-find-multiples | filecheck %s

// Quantized values and levels are multiples of a number; what comes from a plain input is not.

builtin.module {
  net.network @multiples dims {} {
    %x = op.input "x" : tensor<2x3xf32>
    %w = op.parameter "w" <1.0 * zeros> : tensor<3x5xf32>
    op.set "w.levels" %w in "levels" {levels = array<f64: -0.5, 0.0, 0.5>, rate = 1.0 : f64} : tensor<3x5xf32>
    %v = op.parameter "v" <1.0 * zeros> : tensor<5x4xf32>
    op.set "v.scaled_levels" %v in "scaled_levels" {levels = array<f64: -1.0, 0.0, 1.0>, axes = array<i64: 0>} : tensor<5x4xf32>
    %k = op.quantize_linear "q" %x by 0.1 from 0.0 to 3.0 : tensor<2x3xf32> -> tensor<2x3xf32>
    %a = op.sum "a" %k axes [] weights [0.1] : tensor<2x3xf32> -> tensor<2x3xf32>
    %plain = op.dot "plain" %x, %w : tensor<2x3xf32>, tensor<3x5xf32> -> tensor<2x5xf32>
    %whole = op.dot "whole" %a, %w : tensor<2x3xf32>, tensor<3x5xf32> -> tensor<2x5xf32>
    %s = op.piecewise "s" %plain edges [0.0] slopes [0.0, 0.0] offsets [-1.0, 1.0] : tensor<2x5xf32> -> tensor<2x5xf32>
    %columns = op.dot "columns" %s, %v : tensor<2x5xf32>, tensor<5x4xf32> -> tensor<2x4xf32>
    op.output "whole" %whole : tensor<2x5xf32>
    op.output "columns" %columns : tensor<2x4xf32>
  }
}

// CHECK: op.dot "plain" %x, %w : tensor<2x3xf32>
// CHECK: op.dot "whole" %a, %w units [1.000000e-01, 5.000000e-01] : tensor<2x3xf32>
// CHECK: op.dot "columns" %s, %v units [1.000000e+00, 1.000000e+00] levels [-1.000000e+00, 0.000000e+00, 1.000000e+00] : tensor<2x5xf32>

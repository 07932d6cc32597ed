#pragma once

#include "kernels/simd/vector.h"

namespace visiontorch::kernels {

namespace {

// Activation functions, with errors of a few units in the last place of float32.

inline bool clamps(Activation activation) { return activation <= Activation::ReLU6; }

// Here and below, the operand order of `larger` and `smaller` lets NaN through, as in PyTorch's functions.
inline Vector clamp(Vector x, float low, float high) { return smaller(all(high), larger(all(low), x)); }

// 2^x for x in [-126, 126], computed as 2^n * 2^f with f in [0, 1) and a minimax polynomial of relative error 1e-7.
inline Vector power_of_2(Vector x) {
  const Vector f = fraction(x);
  Vector y = all(1.8775765784e-3F);
  y = fma(y, f, all(8.9893406257e-3F));
  y = fma(y, f, all(5.5826317519e-2F));
  y = fma(y, f, all(2.4015361071e-1F));
  y = fma(y, f, all(6.9315308332e-1F));
  y = fma(y, f, all(9.9999994040e-1F));
  return scale_by_power(y, x);
}

// e^x, for x in [-87, 87].
inline Vector exponential(Vector x) { return power_of_2(x * all(1.44269504F)); }

inline Vector sigmoid(Vector x) { return reciprocal(all(1) + power_of_2(clamp(x * all(-1.44269504F), -120, 120))); }

inline Vector tanh(Vector x) { return fma(all(2), sigmoid(all(2) * x), all(-1)); }

inline Vector hardsigmoid(Vector x) { return clamp(fma(x, all(1.0F / 6), all(0.5F)), 0, 1); }

inline Vector hardswish(Vector x) { return x * hardsigmoid(x); }

inline Vector silu(Vector x) { return x * sigmoid(x); }

// Eigen's rational function on [-4, 4]; beyond that, erf(x) is -1 or 1 in float32.
inline Vector erf(Vector x) {
  const Vector t = clamp(x, -4, 4), t2 = t * t;
  Vector p = all(-2.72614225801306e-10F);
  p = fma(p, t2, all(2.77068142495902e-08F));
  p = fma(p, t2, all(-2.10102402082508e-06F));
  p = fma(p, t2, all(-5.69250639462346e-05F));
  p = fma(p, t2, all(-7.34990630326855e-04F));
  p = fma(p, t2, all(-2.95459980854025e-03F));
  p = fma(p, t2, all(-1.60960333262415e-02F));
  Vector q = all(-1.45660718464996e-05F);
  q = fma(q, t2, all(-2.13374055278905e-04F));
  q = fma(q, t2, all(-1.68282697438203e-03F));
  q = fma(q, t2, all(-7.37332916720468e-03F));
  q = fma(q, t2, all(-1.42647390514189e-02F));
  return t * p / q;
}

inline Vector gelu(Vector x) { return all(0.5F) * x * (all(1) + erf(x * all(0.70710678F))); }

// The normal distribution function plus x times its density.
inline Vector gelu_derivative(Vector x) {
  const Vector density = all(0.39894228F) * exponential(larger(all(-87), all(-0.5F) * x * x));
  return fma(x, density, fma(all(0.5F), erf(x * all(0.70710678F)), all(0.5F)));
}

inline Vector activate(Vector x, Activation activation) {
  switch (activation) {
    case Activation::None: return x;
    case Activation::ReLU: return larger(all(0), x);
    case Activation::ReLU6: return clamp(x, 0, 6);
    case Activation::Hardswish: return hardswish(x);
    case Activation::Hardsigmoid: return hardsigmoid(x);
    case Activation::SiLU: return silu(x);
    case Activation::Sigmoid: return sigmoid(x);
    case Activation::GELU: return gelu(x);
    case Activation::Tanh: return tanh(x);
  }
  return x;
}

// The derivative of Hardswish or SiLU.
inline Vector derivative(Vector x, Activation activation) {
  if (activation == Activation::SiLU) {
    const Vector s = sigmoid(x);
    return s * fma(x, all(1) - s, all(1));
  }
  const Bits bent = between(all(-3), x, all(3)), straight = between(all(2.9999998F), x, all(__builtin_inff()));
  return where(bent, fma(x, all(1.0F / 3), all(0.5F))) + where(straight, all(1));
}

template <class Function>
inline void apply(Vector* values, int64_t count, const Function& function) {
  for (int64_t i = 0; i < count; i++) values[i] = function(values[i]);
}

// Not inlined, because the kernels are compiled for many tile sizes, each of which would contain all functions.
__attribute__((noinline)) void activate(Vector* values, int64_t count, Activation activation) {
  switch (activation) {
    case Activation::None: return;
    case Activation::ReLU:
    case Activation::ReLU6: return apply(values, count, [=](Vector x) { return activate(x, activation); });
    case Activation::Hardswish: return apply(values, count, hardswish);
    case Activation::Hardsigmoid: return apply(values, count, hardsigmoid);
    case Activation::SiLU: return apply(values, count, silu);
    case Activation::Sigmoid: return apply(values, count, sigmoid);
    case Activation::GELU: return apply(values, count, gelu);
    case Activation::Tanh: return apply(values, count, tanh);
  }
}

}  // namespace

}  // namespace visiontorch::kernels

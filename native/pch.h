// Precompiled, because these headers cost several seconds per translation unit.
#pragma once

#include <ATen/ATen.h>
#include <napi.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

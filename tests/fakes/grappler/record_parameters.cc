// A grappler optimizer by the name of NpuOptimizer that changes nothing and writes down, in the file that the environment variable
// NPU_PARAMETER_RECORD names, the parameter map with which TensorFlow's C++ runtime set it up. One line a parameter,
// sorted: key, field of the AttrValue (b, i, s, ...), value.
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>

#include "tensorflow/core/framework/attr_value.pb.h"
#include "tensorflow/core/grappler/grappler_item.h"
#include "tensorflow/core/grappler/optimizers/custom_graph_optimizer.h"
#include "tensorflow/core/grappler/optimizers/custom_graph_optimizer_registry.h"
#include "tensorflow/core/protobuf/rewriter_config.pb.h"

namespace tensorflow {
namespace grappler {

class NpuOptimizer : public CustomGraphOptimizer {
 public:
  string name() const override { return "NpuOptimizer"; }

  bool UsesFunctionLibrary() const override { return false; }

  Status Init(const RewriterConfig_CustomGraphOptimizer* config) override {
    const char* path = std::getenv("NPU_PARAMETER_RECORD");
    if (path == nullptr || config == nullptr) return Status::OK();
    std::map<string, string> lines;
    for (const auto& parameter : config->parameter_map()) {
      lines[parameter.first] = Describe(parameter.second);
    }
    std::ofstream file(path);
    file << "name\t" << config->name() << "\n";
    for (const auto& line : lines) file << line.first << "\t" << line.second << "\n";
    return Status::OK();
  }

  Status Optimize(Cluster* cluster, const GrapplerItem& item, GraphDef* optimized) override {
    *optimized = item.graph;
    return Status::OK();
  }

  void Feedback(Cluster* cluster, const GrapplerItem& item, const GraphDef& optimized, double result) override {}

 private:
  static string Describe(const AttrValue& value) {
    switch (value.value_case()) {
      case AttrValue::kB: return string("b\t") + (value.b() ? "true" : "false");
      case AttrValue::kI: return "i\t" + std::to_string(value.i());
      case AttrValue::kS: return "s\t" + value.s();
      case AttrValue::kF: return "f\t" + std::to_string(value.f());
      default: return "?\t" + std::to_string(value.value_case());
    }
  }
};

REGISTER_GRAPH_OPTIMIZER_AS(NpuOptimizer, "NpuOptimizer");

}  // namespace grappler
}  // namespace tensorflow

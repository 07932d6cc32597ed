// The protobuf library and ONNX's messages, which scripts/bundle.ts bundles into one file.
export { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
export {
  AttributeProto_AttributeType,
  type AttributeProtoSchema,
  type GraphProto,
  ModelProtoSchema,
  type NodeProto,
  type NodeProtoSchema,
  type TensorProto,
  TensorProto_DataLocation,
  TensorProto_DataType,
  type TensorProtoSchema,
  type ValueInfoProtoSchema,
} from './proto/onnx_pb.js'

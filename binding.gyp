{
  # For node-gyp and the tools that call it: the build itself is CMakeLists.txt.
  'targets': [
    {
      'target_name': 'visiontorch',
      'type': 'none',
      'actions': [
        {
          'action_name': 'cmake',
          'message': 'Building with CMake',
          'inputs': ['CMakeLists.txt'],
          'outputs': ['<(PRODUCT_DIR)/visiontorch.node'],
          'action': ['npm', 'run', 'build:native', '--prefix', '<(module_root_dir)'],
        },
      ],
    },
  ],
}

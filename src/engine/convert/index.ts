export {
  CONVERT_DTYPES,
  CONVERT_TARGETS,
  type ConvertOptions,
  type ConvertProgress,
  type ConvertTarget,
  convertModel,
} from './convert.ts';

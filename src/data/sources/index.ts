export {
  EASY_VQA_SPLITS,
  EASY_VQA_TASKS,
  type EasyVqaImage,
  type EasyVqaOptions,
  type EasyVqaQuestion,
  type EasyVqaSplit,
  type EasyVqaTask,
  easyVqaQuestions,
  easyVqaSource,
  openEasyVqa,
} from './easy-vqa.ts';
export * from './emoji/index.ts';
export { type ExportOptions, exportLlavaJson } from './export.ts';

export { default } from '../ui/vite.config.ts';

/** hls.js without subtitles, alternate audio and DRM: the same class (its package declares types for the whole only). */
declare module 'hls.js/light' {
  import Hls from 'hls.js';
  export default Hls;
}

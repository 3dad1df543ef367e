/** Where something is kept in S3. Credentials are not part of it: the SDKs find them, each in the usual places. */
export interface S3Settings {
  readonly bucket: string;
  /** Of everything in the bucket: empty, or folder names with `/` between them and none at the ends. */
  readonly prefix: string;
  /** Absent: as the SDKs find it. */
  readonly region: string | undefined;
  /** Absent: AWS. */
  readonly endpoint: string | undefined;
  /** The bucket is a part of the path rather than of the host's name. */
  readonly isPathStyle: boolean;
}

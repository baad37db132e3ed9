import { BallastError, type Position } from "../../common/errors.ts";

/**
 * Waits for what is read from the path that a setting of ballast.yaml names. When the path itself is at fault (not there, not
 * readable, not a folder), the error tells the setting's place; a mistake inside the file keeps its own.
 */
export async function atSetting<T>(path: string, position: Position, reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    if (!(error instanceof BallastError) || error.position?.file !== path || error.position.line !== undefined)
      throw error;
    const what = error.message.slice(`${error.code}: `.length);
    throw new BallastError(error.code, what, { position, hint: error.hint, cause: error });
  }
}

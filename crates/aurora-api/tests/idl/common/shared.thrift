/* Included by everything.thrift. */
namespace rs shared_types
namespace java org.example.shared
namespace * example

/** A colour; the last one has gaps before it. */
enum Color {
  RED,            // 0
  GREEN = 5,
  blue,           # 6
  Infra_Red = -1 (deprecated = "yes"),
  ULTRA = 0x7f,
}

/** Milliseconds. */
typedef i64 Millis

/** Coordinates. */
struct Point {
  1: i32 x
  2: i32 y
}

const i32 ANSWER = 42
const Color FAVOURITE = Color.GREEN

/** Thrown when a resource is exhausted. */
exception Exhausted {
  1: string message
  2: optional i32 code
} (since = "1")

service Base {
  /** Says that it is alive. */
  void ping()
  oneway void poke(1: string who);
}

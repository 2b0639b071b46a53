/** Uses every feature of the language that is supported. */

include "common/shared.thrift"
cpp_include "<vector>"

namespace py everything

const bool YES = true
const i8 TINY = -128
const i16 SMALL = 0x7fff
const i64 HUGE = -9223372036854775808
const double RATIO = -1.5e-3
const double WHOLE = 3
const string GREETING = 'say "hi"\n'
const binary RAW = "raw"
const list<string> WORDS = ["a", 'b';]
const set<shared.Color> COLORS = [shared.Color.RED, ULTRA]
const map<string, list<i32>> TABLE = {"one": [1], "two": [1, shared.ANSWER]}
const shared.Point ORIGIN = {"x": 0, "y": 0}
const list<Shape> SHAPES = [{"circle": 1.5}, {"point": ORIGIN}]
const shared.Color BEST = shared.FAVOURITE

typedef list<Names> ListOfNames
typedef set<string> Names

/** Exactly one of several things. */
union Shape {
  1: double circle,
  2: shared.Point point,
  /** Words. */
  3: Names names;
  5: shared.Color color
  6: binary raw
  7: Tree tree
  8: string unknown
}

/** Contains itself in every way. */
struct Tree {
  1: optional Tree left,
  2: optional Tree & right,
  3: list<Tree> children,
  4: map<string, Tree> byName,
  5: Forest forest,
  6: string label,
}

struct Forest {
  1: Tree first,
  2: set<Tree> rest
}

/** Every base type, bare. */
struct Bases {
  1: bool aBool
  2: byte aByte
  3: i16 anI16
  4: i32 anI32
  5: i64 anI64
  6: double aDouble
  7: string aString
  8: binary aBinary
  9: shared.Color aColor
  10: shared.Millis aTime
}

/** Every container. */
struct Containers {
  1: list<bool> bools
  2: set<i64> longs
  3: map<i32, string> byNumber
  4: map<shared.Color, double> byColor
  5: map<shared.Point, binary> byPoint
  6: set<Shape> shapes
  7: set<Containers> nested
  8: ListOfNames listOfNames
  9: map<bool, list<map<string, i16>>> deep
  10: map<double, i8> byDouble
  11: set<binary> blobs
  12: map<list<i32>, set<i32>> byList
  13: map cpp_type "std::map" <string, string> strings (key = "v")
}

/** Default values. */
struct Defaults {
  1: i32 number = 7
  2: optional string text = GREETING
  3: list<i32> numbers = [1, 2, shared.ANSWER]
  4: Shape shape = {"point": {"x": 1}}
  5: shared.Color color = shared.Color.GREEN
  6: map<string, double> ratios = {"pi": 3.25}
  7: set<string> none = {}
  8: bool flag = 1
  9: Names words = WORDS
  10: double ratio = RATIO
  11: binary raw = 'bytes'
  12: shared.Point at = ORIGIN
}

/** Required fields. */
struct Needs {
  1: required i32 id
  2: required shared.Point at
  3: required string name = "none"
  4: optional string note
}

/** Has a required field without a default. */
struct NeedsShape {
  1: required Shape shape
}

/** Names that Rust reserves, and generated code uses. */
struct Result {
  1: i32 type
  2: i32 self
  3: i32 unknown
  4: i32 Option
  5: i32 fn
  6: i32 out
  7: i32 input
  8: i32 rest
}

struct Empty {}

/** Everything at once, with ids in no order. */
struct Everything {
  30: Bases bases
  2: Containers containers
  4: Defaults defaults
  3: Needs needs
  5: Tree tree
  6: Result result
  7: Empty empty
  8: Shape shape
  32767: string last
}

/** What an older peer knows of `Everything`. */
struct OldEverything {
  3: Needs needs
  7: Empty empty
}

exception NotFound {
  1: string what
  2: set<string> known
}

/** Computes. */
service Calculator extends shared.Base {
  /** Adds. */
  i32 add(1: i32 a, 2: i32 b) throws (1: shared.Exhausted exhausted)
  Everything echo(1: Everything value, 2: string note),
  void store(1: string name; 3: Shape shape) throws (1: NotFound missing, 2: shared.Exhausted full);
  oneway void forget(1: string name)
  list<string> names() throws (1: NotFound a, 2: NotFound b)
}

/** Adds nothing. */
service Quiet extends Calculator {}
service Nothing {}

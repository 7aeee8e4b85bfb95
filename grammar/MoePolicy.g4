// SPDX-License-Identifier: Apache-2.0
// The syntax of .moe policies, language version 2. The only definition of it: docs/language.md explains what it means.
//
// Three principles.
//   1. Blocks and keys are not words of this grammar. `NAME { ... }` and `key = value` are parsed as such and checked by
//      name afterwards, so that a slip of the pen becomes a suggestion and not a syntax error.
//   2. Every word is contextual: the rule `name` lists the words that open some construct, and they stay usable as
//      names wherever a name may stand. Only expressions reserve `and or not if then else true false`.
//   3. Every decision is made on at most three tokens, so that SLL prediction suffices and parsing is linear.
//
// The rules `badAssign`, `badPlain`, `badSign`, and `labelled` without a body, accept common slips on purpose: the frontend
// reports them in the author's words and goes on with what was meant.
grammar MoePolicy;

tokens { MISSING }   // put in by the frontend where a value was left out; never in a source text

// ---- files ----------------------------------------------------------------------------------------------------------

file       : fileItem* EOF ;
fileItem   : version | importFile | policy ;
version    : VERSION ( NUMBER | MISSING ) ;
importFile : IMPORT STRING ;

policy     : POLICY name ( EXTENDS name )? policyBody ;
policyBody : '{' member* '}' ;
member     : param | let | block | labelled ;
param      : PARAM name '=' operand ( IN domain )? ;
domain     : list | expr '..' expr ( STEP expr )? ;
let        : LET name '=' expr ;

// ---- blocks ---------------------------------------------------------------------------------------------------------

block      : name body                                   // cache { ... }
           | LAYERS band body ;                          // layers 0..3 { ... }
band       : expr '..' expr ;
labelled   : ( TIER | PHASE | NAME ) name body? ;        // tier fast { ... }; without a body, a forgotten `=`
body       : '{' item* '}' ;
item       : entry | badAssign | badPlain | block | labelled | whenItem | elseArm | onBlock | choose | move | command ;

entry      : key '=' value ;
badAssign  : key ( ':' | '==' ) value ;                  // capacity: 8
badPlain   : NAME plain ;                                // capacity 8
plain      : NUMBER | MISSING | STRING | list ;
key        : name ( '.' name )? ;

onBlock    : ON name body ;                              // on miss { ... }
whenItem   : WHEN expr ( '->' name | forClause? cooldown? body REVERT? ) ;
forClause  : FOR expr name ;
cooldown   : COOLDOWN expr ;
elseArm    : ELSE '->' name ;
choose     : CHOOSE name ( ',' name )* BY expr EVERY expr name ( EXPLORE expr )? ;
move       : ( PROMOTE | DEMOTE ) name '->' name ( WHEN expr | ON name ) ;
command    : ( USE | REBALANCE | TRIGGER | SIGNAL ) name ;

// ---- values ---------------------------------------------------------------------------------------------------------

value      : chain ( ':' chain WHEN expr )? ;            // capacity = 16 : 8 when hit_rate < 0.4
chain      : operand ( '|' operand )* ;                  // lfu | lru
operand    : list | ladder | expr ;
list       : '[' ( element ( ',' element )* ','? )? ']' ;
element    : bound ( ':' bound )? ;                      // 3:0..7, *:5
bound      : '*' | expr ( '..' expr )? ;
ladder     : BY '(' expr ')' '[' rung ( ',' rung )* ','? ']' ;
rung       : name ( '>=' expr )? ;

// Tightest first.
expr       : '(' expr ')'
           | callee '(' ( expr ( ',' expr )* )? ')'
           | ( NUMBER | STRING | TRUE | FALSE | MISSING )
           | callee
           | '-' expr
           | badSign
           | expr ( '*' | '/' | '%' ) expr
           | expr ( '+' | '-' ) expr
           | expr ( '==' | '!=' | '<' | '<=' | '>' | '>=' ) expr
           | NOT expr
           | expr AND expr
           | expr OR expr
           | IF expr THEN expr ELSE expr
           ;
badSign    : '+' expr ;                                  // capacity = +8

// ---- words ----------------------------------------------------------------------------------------------------------

name       : callee | BY | AND | OR | NOT | IF | THEN | ELSE | TRUE | FALSE ;

// What may be a name inside an expression. `by (` opens a ladder.
callee     : NAME | VERSION | IMPORT | POLICY | EXTENDS | PARAM | LET | IN | STEP | LAYERS | PHASE | TIER | ON | WHEN | FOR
           | COOLDOWN | REVERT | CHOOSE | EVERY | EXPLORE | PROMOTE | DEMOTE | USE | REBALANCE | TRIGGER | SIGNAL ;

VERSION : 'version' ;  IMPORT : 'import' ;  POLICY : 'policy' ;  EXTENDS : 'extends' ;
PARAM   : 'param' ;    LET    : 'let' ;     IN     : 'in' ;      STEP    : 'step' ;
LAYERS  : 'layers' ;   PHASE  : 'phase' ;   TIER   : 'tier' ;    ON      : 'on' ;
WHEN    : 'when' ;     FOR    : 'for' ;     COOLDOWN : 'cooldown' ;  REVERT : 'revert' ;
CHOOSE  : 'choose' ;   BY     : 'by' ;      EVERY  : 'every' ;   EXPLORE : 'explore' ;
PROMOTE : 'promote' ;  DEMOTE : 'demote' ;
USE     : 'use' ;      REBALANCE : 'rebalance' ;  TRIGGER : 'trigger' ;  SIGNAL : 'signal' ;
AND : 'and' ;  OR : 'or' ;  NOT : 'not' ;  IF : 'if' ;  THEN : 'then' ;  ELSE : 'else' ;  TRUE : 'true' ;  FALSE : 'false' ;

NAME    : [A-Za-z_] [A-Za-z0-9_]* ;

// A number takes the run of letters after it, so that `16Gb` is one wrong unit and not two tokens; `%` right after it is
// per cent. `..` wins over a decimal point, and a division after `GB` over the unit `GB/s`: as a lexer cannot look ahead
// without predicates (which leak in ANTLR 4.9), it takes `0..` and `16GB/size` whole, and the frontend gives the rest back.
NUMBER  : ( DIGITS ( '.' DIGITS? )? | '.' DIGITS ) EXPONENT? ( '%' | TAIL )?
        | DIGITS '..'
        ;
fragment DIGITS   : [0-9]+ ( '_' [0-9]+ )* ;
fragment EXPONENT : [eE] [+-]? DIGITS ;
fragment TAIL     : [A-Za-z_] [A-Za-z0-9_]* | 'GB/' [A-Za-z0-9_]+ ;

STRING       : '"' ~["\r\n]* '"' ;
UNTERMINATED : '"' ~["\r\n]* ;

LBRACE : '{' ;  RBRACE : '}' ;  LBRACK : '[' ;  RBRACK : ']' ;  LPAREN : '(' ;  RPAREN : ')' ;
ARROW  : '->' ; RANGE  : '..' ; ASSIGN : '=' ;  COLON  : ':' ;  PIPE   : '|' ;  COMMA  : ',' ;  DOT : '.' ;
EQ : '==' ;  NE : '!=' ;  LE : '<=' ;  GE : '>=' ;  LT : '<' ;  GT : '>' ;
PLUS : '+' ;  MINUS : '-' ;  STAR : '*' ;  SLASH : '/' ;  PERCENT : '%' ;

COMMENT       : ( '#' | '//' ) ~[\r\n]* -> skip ;
BLOCK_COMMENT : '/*' .*? ( '*/' | EOF ) ;       // not of the language: reported
SPACE         : [ \t\r\n\f\u000B;]+ -> skip ;
FOREIGN       : [\u0080-\u00FF]+ ;              // the lexer reads bytes; outside comments and strings all are ASCII
OTHER         : . ;

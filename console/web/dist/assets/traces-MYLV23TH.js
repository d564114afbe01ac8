import{g as a}from"/assets/chunk-2ZLW4SIV.js";function e(){return a("div",{class:"page"})}export{e as default};
